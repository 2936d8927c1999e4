"""What a network's features tell of where an image comes from, beside what they tell of the disease."""

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.checks.shortcuts import ORIGIN_COLUMNS, origin_table
from semenet.evaluation.shortcut_audit.probes import crossed_probabilities, fitted_probabilities
from semenet.metrics.patient_bootstrap import classification_intervals

COLUMNS = (*ORIGIN_COLUMNS, "marker")
# Fewer images than this of a value, among those measured, tell nothing.
LEAST = 5


def origin_probes(rows, features, fit_rows, fit_features, columns=COLUMNS):
    """Probes the features for each column of an image's origin that the manifest has.

    A linear classifier is fitted to the features of `fit_rows` and measured on `rows`; without such rows,
    to four fifths of the patients of `rows` in turn. Images whose value is empty, or stands in fewer than
    five of the images measured or in none of those fitted to, are left out.

    Args:
        rows: rows of a manifest, those measured.
        features: float (N, F), the network's features of them.
        fit_rows: rows to fit to; empty for none.
        fit_features: float (M, F), or None.
        columns: names of columns.

    Returns:
        dict of column to a dict: `values`, dict of value to the number of images measured; `network`, how
        well the features tell the value: `balanced_accuracy`, `chance` (1 / values), `macro_auroc` and its
        `interval`; `label`, how well the value tells the label, as `semenet.data.checks.shortcuts`
        measures it:
        `balanced_accuracy`, `chance`, `excess`. `network` is None where fewer than two values are left.
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
            "network": _told(column, rows, features, fit_rows, fit_features),
            "label": {name: table[name] for name in ("balanced_accuracy", "chance", "excess")},
        }
    return found


def _told(column, rows, features, fit_rows, fit_features):
    counts = rows[column].value_counts()
    values = sorted(value for value, count in counts.items() if value and count >= LEAST)
    if len(fit_rows):
        known = set(fit_rows[column])
        values = [value for value in values if value in known]
    if len(values) < 2:
        return None
    index, chosen = _numbered(rows[column], values)
    patients = rows["patient"].to_numpy()[chosen]
    if len(fit_rows):
        fit_index, fit_chosen = _numbered(fit_rows[column], values)
        probabilities = fitted_probabilities(
            fit_features[fit_chosen], fit_index, features[chosen], len(values)
        )
    else:
        probabilities = crossed_probabilities(features[chosen], index, patients, len(values))
    if probabilities is None:
        return None
    interval = classification_intervals(index, probabilities, values, patients)["macro_auroc"]
    return {
        "balanced_accuracy": metrics.balanced_accuracy(index, probabilities),
        "chance": 1 / len(values),
        "macro_auroc": metrics.macro_auroc(index, probabilities),
        "interval": interval,
    }


def _numbered(cells, values):
    """The number of each cell among `values`, int (n,), of those that are; and which these are, bool (N,)."""
    numbers = pd.Index(values).get_indexer(cells)
    return numbers[numbers >= 0], np.asarray(numbers >= 0)
