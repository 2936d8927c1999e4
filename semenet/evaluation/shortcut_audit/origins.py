"""How well features predict the origin of an image, and how well the origin predicts the label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.checks.shortcuts import ORIGIN_COLUMNS, origin_table
from semenet.evaluation.shortcut_audit.linear_probes import (
    cross_validated_probabilities,
    fitted_probabilities,
)
from semenet.metrics.patient_bootstrap import classification_intervals

COLUMNS = (*ORIGIN_COLUMNS, "marker")
# With fewer evaluated images than this, a value is too rare to be assessed.
MIN_IMAGES = 5


def origin_probes(
    rows: pd.DataFrame,
    features: np.ndarray,
    fit_rows: pd.DataFrame,
    fit_features: np.ndarray | None,
    columns: Sequence[str] = COLUMNS,
) -> dict[str, Any]:
    """Probes the features for each column of the manifest that describes an image's origin.

    A linear classifier is fitted to the features of `fit_rows` and evaluated on `rows`; without such rows, by
    five-fold cross-validation over the patients of `rows`. Images are left out if their value is empty, has
    fewer than five evaluated images, or does not occur in `fit_rows`.

    Args:
        rows: the evaluated rows of a manifest.
        features: float `(N, F)`, the network's features of them.
        fit_rows: rows to fit to; may be empty.
        fit_features: float `(M, F)`, or None.
        columns: names of columns.

    Returns:
        dict from column to a dict: `values`, the number of evaluated images by value; `network`, how well the
        features predict the value: `balanced_accuracy`, `chance` (1 / values), `macro_auroc` and its
        `interval`, or None if fewer than two values are left; `label`, how well the value predicts the label,
        as measured by `semenet.data.checks.shortcuts`: `balanced_accuracy`, `chance`, `excess`.
    """
    found = {}
    for column in columns:
        if column not in rows:
            continue
        stated = rows[rows[column] != ""]
        counts = stated[column].value_counts()
        table = origin_table(column, stated[column], stated["label"], stated["patient"])
        found[column] = {
            "values": {str(value): int(count) for value, count in counts.items()},
            "network": _probe(column, rows, features, fit_rows, fit_features),
            "label": {name: table[name] for name in ("balanced_accuracy", "chance", "excess")},
        }
    return found


def _probe(
    column: str,
    rows: pd.DataFrame,
    features: np.ndarray,
    fit_rows: pd.DataFrame,
    fit_features: np.ndarray | None,
) -> dict[str, Any] | None:
    counts = rows[column].value_counts()
    values = sorted(str(value) for value, count in counts.items() if value and count >= MIN_IMAGES)
    if len(fit_rows):
        known = set(fit_rows[column])
        values = [value for value in values if value in known]
    if len(values) < 2:
        return None
    index, chosen = _value_index(rows[column], values)
    patients = rows["patient"].to_numpy()[chosen]
    if len(fit_rows):
        fit_index, fit_chosen = _value_index(fit_rows[column], values)
        probabilities = fitted_probabilities(
            fit_features[fit_chosen], fit_index, features[chosen], len(values)
        )
    else:
        probabilities = cross_validated_probabilities(features[chosen], index, patients, len(values))
    if probabilities is None:
        return None
    interval = classification_intervals(index, probabilities, values, patients)["macro_auroc"]
    return {
        "balanced_accuracy": metrics.balanced_accuracy(index, probabilities),
        "chance": 1 / len(values),
        "macro_auroc": metrics.macro_auroc(index, probabilities),
        "interval": interval,
    }


def _value_index(cells: pd.Series, values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index in `values` of each cell found there, int `(n,)`, and which cells, bool `(N,)`."""
    numbers = pd.Index(values).get_indexer(cells)
    return numbers[numbers >= 0], np.asarray(numbers >= 0)
