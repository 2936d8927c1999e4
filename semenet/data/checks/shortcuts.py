"""Shortcuts: properties other than the disease that predict the class, such as source, view or format."""

import os
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.manifest.class_labels import SEPARATOR

# Columns that describe where and how an image was made, as named in public data sets.
ORIGIN_COLUMNS = (
    "source",
    "hospital",
    "site",
    "country",
    "scanner",
    "manufacturer",
    "modality",
    "view",
    "projection",
)
MARGIN = 0.1

_DRAWS = 20


def origin_tables(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Counts the labels per value of each origin column, and measures how well the column predicts the label.

    The measure is the balanced accuracy of predicting the label from the origin alone, with the best rule for
    these rows: for each origin, its relatively most frequent label. Every patient counts once for each label
    and origin. Since origins with few patients raise the value that is expected by chance above 1 / labels,
    chance is the mean of the same measure with shuffled labels (20 seeded draws). The excess is
    (measured - chance) / (1 - chance): 0 if the origin is independent of the label, 1 if it determines the
    label. An excess above 0.1 is a warning: networks learn to recognise where an image comes from. A partial
    label counts in equal parts for each of its classes.

    Args:
        rows: rows of a manifest, with file and patient, and optionally label.

    Returns:
        One dict for each existing column of `ORIGIN_COLUMNS` and for the suffix of the file names ("file
        type"): `column`, `counts` (origin to label to number of images), `balanced_accuracy`, `chance` and
        `excess` in [0, 1], `predicts_label` (bool). The numbers are None if there are fewer than two labels
        or origins. The list is empty without labels.
    """
    if "label" not in rows:
        return []
    suffixes = rows["file"].map(lambda file: os.path.splitext(file)[1].lower().replace(".jpeg", ".jpg"))
    columns = {column: rows[column] for column in ORIGIN_COLUMNS if column in rows} | {"file type": suffixes}
    return [origin_table(name, values, rows["label"], rows["patient"]) for name, values in columns.items()]


def origin_table(name: str, origins: pd.Series, labels: pd.Series, patients: pd.Series) -> dict[str, Any]:
    """Returns the dict of `origin_tables` for one column.

    Args:
        name: the column's name.
        origins: its values, one for each image.
        labels: the labels of the images.
        patients: the patients of the images.

    Returns:
        As in the list of `origin_tables`.
    """
    counts = pd.crosstab(origins.to_numpy(), labels.to_numpy())
    table = {
        "column": name,
        "counts": {
            str(origin): {str(k): int(n) for k, n in row.items()} for origin, row in counts.iterrows()
        },
        "balanced_accuracy": None,
        "chance": None,
        "excess": None,
        "predicts_label": False,
    }
    classes = sorted({name for label in counts.columns for name in str(label).split(SEPARATOR)})
    if min(len(classes), len(counts)) < 2:
        return table
    votes = pd.DataFrame(
        {"patient": patients.to_numpy(), "label": labels.to_numpy(), "origin": origins.to_numpy()}
    ).drop_duplicates()
    shares = np.array([[name in str(label).split(SEPARATOR) for name in classes] for label in votes["label"]])
    shares = shares / shares.sum(axis=1, keepdims=True)
    origin = pd.factorize(votes["origin"], sort=True)[0]
    rng = np.random.default_rng(0)
    measured = _balanced_accuracy(shares, origin)
    chance = float(np.mean([_balanced_accuracy(rng.permutation(shares), origin) for _ in range(_DRAWS)]))
    excess = max(0.0, (measured - chance) / (1 - chance)) if chance < 1 else 0.0
    return table | {
        "balanced_accuracy": measured,
        "chance": chance,
        "excess": excess,
        "predicts_label": excess > MARGIN,
    }


def _balanced_accuracy(shares: np.ndarray, origin: np.ndarray) -> float:
    """Returns the value of the rule that predicts, for each origin, its relatively most frequent label.

    Args:
        shares: float `(votes, labels)`, the share of each label in a vote; rows add up to 1.
        origin: int `(votes,)`.
    """
    table = np.zeros((shares.shape[1], origin.max() + 1))
    np.add.at(table.T, origin, shares)
    return float((table / table.sum(axis=1, keepdims=True)).max(axis=0).sum() / len(table))
