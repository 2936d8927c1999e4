"""What beside the disease tells a class: the source of an image, its view, its format."""

import os

import numpy as np
import pandas as pd

# Columns that say where and how an image was made, under the names that public data sets give them.
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


def origin_tables(rows):
    """Counts the labels by each column of an image's origin, and measures how well it predicts the label.

    The measure is the balanced accuracy of guessing the label from the origin alone, with the best rule
    there is for these very rows: of each origin, the label that is relatively most frequent there. Every
    patient has one vote for each label and origin. What chance gives is not 1 / labels where an origin has
    few patients, but the mean of the same measure with the labels shuffled (20 seeded draws). The excess is
    (measured - chance) / (1 - chance): 0 where the origin says nothing, 1 where it says all. Above 0.1 is a
    warning: a network can score by looking at where an image comes from, and does.

    Args:
        rows: rows of a manifest, with label, patient and file.

    Returns:
        A list of dicts, one for each column of `ORIGIN_COLUMNS` that is there and for the file name's
        suffix ("file type"): `column`, `counts` (dict of origin to dict of label to number of images),
        `balanced_accuracy`, `chance` and `excess` in [0, 1], `predicts_label` (bool). The numbers are None
        where there are fewer than two labels or origins. Empty where there is no label.
    """
    if "label" not in rows:
        return []
    suffixes = rows["file"].map(lambda file: os.path.splitext(file)[1].lower().replace(".jpeg", ".jpg"))
    columns = {column: rows[column] for column in ORIGIN_COLUMNS if column in rows} | {"file type": suffixes}
    return [origin_table(name, values, rows["label"], rows["patient"]) for name, values in columns.items()]


def origin_table(name, origins, labels, patients):
    """The one dict of `origin_tables` for a column.

    Args:
        name: the column's name.
        origins: Series of its values, one for each image.
        labels: Series of the images' labels.
        patients: Series of their patients.

    Returns:
        dict, as `origin_tables` says.
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
    if min(counts.shape) < 2:
        return table
    votes = pd.DataFrame(
        {"patient": patients.to_numpy(), "label": labels.to_numpy(), "origin": origins.to_numpy()}
    ).drop_duplicates()
    label = pd.factorize(votes["label"], sort=True)[0]
    origin = pd.factorize(votes["origin"], sort=True)[0]
    rng = np.random.default_rng(0)
    measured = _balanced_accuracy(label, origin)
    chance = float(np.mean([_balanced_accuracy(rng.permutation(label), origin) for _ in range(_DRAWS)]))
    excess = max(0.0, (measured - chance) / (1 - chance)) if chance < 1 else 0.0
    return table | {
        "balanced_accuracy": measured,
        "chance": chance,
        "excess": excess,
        "predicts_label": excess > MARGIN,
    }


def _balanced_accuracy(label, origin):
    """Of the rule that guesses, for each origin, the label with the largest share of its votes there."""
    table = np.zeros((label.max() + 1, origin.max() + 1))
    np.add.at(table, (label, origin), 1)
    return float((table / table.sum(axis=1, keepdims=True)).max(axis=0).sum() / len(table))
