"""A logistic regression on embeddings, measured by cross-validation over patients."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from semenet import metrics
from semenet.errors import SemenetError, did_you_mean
from semenet.evaluation.probing.feature_table import read_features
from semenet.evaluation.shortcut_audit.linear_probes import fitted_probabilities
from semenet.metrics.patient_bootstrap import classification_intervals
from semenet.metrics.patient_resamples import check_resamples

# A column with more values holds no classes.
MOST_CLASSES = 50


def probe(
    features: str | os.PathLike,
    label: str = "label",
    *,
    split: str | None = None,
    folds: int = 5,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measures how well a logistic regression on embeddings predicts a column.

    Each image is predicted by a regression that was fitted to images of other patients: the folds keep the
    images of a patient together, and have about equal shares of the classes. Features are standardised by
    the images that are fitted to. Images without a label are left out.

    Args:
        features: table of `semenet.embed`, .parquet or .csv.
        label: the column to predict, one of those of the manifest.
        split: the split whose images are used; None for all.
        folds: number of folds, 2 or more.
        resamples: number of bootstrap resamples of the patients, for the intervals.
        seed: seed of the folds.

    Returns:
        dict, ready for JSON: `label`, `network`, `network_sha256`, `folds`, `count`, `patients`, `left_out`,
        `support` (number of images by class), the metrics of `semenet.metrics.classification`, and
        `intervals`, 95 % over patients, by dotted name.

    Raises:
        MissingFileError: the file does not exist.
        SemenetError: it is no table of embeddings, the column or the split does not exist, there are fewer
            than two classes or more than 50, or a class has fewer patients than there are folds.

    Example:
        >>> semenet.embed("run", "manifest.csv", "features.csv").shape[0]
        45
        >>> found = semenet.probe("features.csv", folds=3, resamples=200)
        >>> found["class_names"], found["count"]
        (['bacteria', 'normal', 'virus'], 45)
    """
    check_resamples(resamples)
    rows, values = read_features(features)
    if label not in rows:
        raise SemenetError(
            f"The label must be a column of the table. Received: {label!r} for {features}."
            f"{did_you_mean(label, rows.columns)} The columns are {', '.join(rows.columns)}."
        )
    used = (rows[label] != "").to_numpy()
    if split is not None:
        known = sorted(set(rows.get("split", ())))
        if split not in known:
            raise SemenetError(
                "The split must be one of the table's. "
                f"Received: {split!r}. Its splits are {', '.join(known) or 'none'}."
            )
        of_split = (rows["split"] == split).to_numpy()
        left_out = int((of_split & ~used).sum())
        used = used & of_split
    else:
        left_out = int((~used).sum())
    rows, values = rows[used].reset_index(drop=True), values[used]
    names = sorted(set(rows[label]))
    _check_classes(rows, label, names, folds)
    index = np.searchsorted(names, rows[label].to_numpy())
    patients = rows["patient"].to_numpy()
    probabilities = np.zeros((len(rows), len(names)))
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fit, apply in cut.split(values, index, groups=patients):
        probabilities[apply] = fitted_probabilities(values[fit], index[fit], values[apply], len(names))
    # The metrics are those of float32 probabilities, as of a network.
    probabilities = probabilities.astype(np.float32)
    return {
        "label": label,
        "network": rows["network"].iloc[0],
        "network_sha256": rows["network_sha256"].iloc[0],
        "folds": folds,
        "count": len(rows),
        "patients": len(set(patients)),
        "left_out": left_out,
        "support": {name: int((index == number).sum()) for number, name in enumerate(names)},
        **metrics.classification(index, probabilities, names),
        "intervals": classification_intervals(index, probabilities, names, patients, resamples),
    }


def probe_lines(found: Mapping[str, Any]) -> list[str]:
    """Returns the result of a probe in a few lines.

    Args:
        found: the dict of `probe`.
    """
    intervals = found["intervals"]

    def value(name: str, of: Mapping[str, Any], key: str) -> str:
        interval = intervals[key]
        words = "" if interval is None else f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"
        return f"{name} undefined" if of is None else f"{name} {of:.3f}{words}"

    lines = [
        value(f"{name}, {found['support'][name]} images: AUROC", of["auroc"], f"per_class.{name}.auroc")
        for name, of in found["per_class"].items()
    ]
    most = max(found["support"].values()) / found["count"]
    lines.append(
        f"{value('macro AUROC', found['macro_auroc'], 'macro_auroc')}; "
        f"{value('accuracy', found['accuracy'], 'accuracy')}; the most frequent class alone: {most:.3f}"
    )
    left_out = f", {found['left_out']} without a label left out" if found["left_out"] else ""
    lines.append(
        f"Logistic regression on embeddings of {found['network']}, {found['folds']} folds of whole patients, "
        f"{found['count']} images of {found['patients']} patients{left_out}."
    )
    return lines


def _check_classes(rows: pd.DataFrame, label: str, names: list[str], folds: int) -> None:
    if folds < 2:
        raise SemenetError(f"`folds` must be 2 or more. Received: {folds}. The default is 5.")
    if not 2 <= len(names) <= MOST_CLASSES:
        raise SemenetError(
            f"A label has 2 to {MOST_CLASSES} classes. Received: {label!r} with {len(names)} values. "
            "Name a column of classes."
        )
    if rows["network_sha256"].nunique() > 1:
        raise SemenetError(
            "A probe compares embeddings of one network. "
            f"Received: those of {', '.join(sorted(set(rows['network'])))}. Embed all with one of them."
        )
    for name in names:
        patients = rows.loc[rows[label] == name, "patient"].nunique()
        if patients < folds:
            raise SemenetError(
                f"Each class needs a patient in each of the {folds} folds. Received: {name!r} with "
                f"{patients} patients. Use fewer folds, or leave the class out."
            )
