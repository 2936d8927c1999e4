"""The three kinds of evidence side by side: validation, held-out images, other hospitals.

A row says "not measured" rather than being left out, so that validation is never taken for a test.
"""

from collections.abc import Sequence
from typing import Any

from semenet.evaluation.drawing.pages import with_interval
from semenet.evaluation.measure.choices import HELD_OUT, OTHER, TRAINING, UNKNOWN, VALIDATION

NOT_MEASURED = "not measured"
OTHER_HOSPITALS = "Other hospitals"
HELD_OUT_ROW = "Held-out test or cross-validation: nothing was chosen on it"
_HEADLINE = (
    ("accuracy", "macro_auroc"),
    ("dice", "mean_iou"),
    ("macro_auroc", "macro_average_precision"),
)


def headline_names(figures: dict[str, Any]) -> tuple[str, str]:
    """Returns the names of the two metrics that the table shows."""
    return next(names for names in _HEADLINE if names[0] in figures)


def validation_row(chosen: Sequence[str]) -> str:
    """Returns the first cell of the row of validation.

    Args:
        chosen: what was chosen on the split.
    """
    return f"Validation, not a test; chosen on it: {', '.join(chosen)}"


def evidence_rows(results: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, ...]]:
    """Returns the table's rows for one or several evaluations of a network.

    Args:
        results: for each evaluation a name, "" for none, and the content of its metrics.json.

    Returns:
        list of rows of cells: the kind, images, patients, and two metrics with their intervals.
    """
    names = headline_names(results[0][1])
    kinds = {
        TRAINING: "Training images, no evidence",
        UNKNOWN: "Not known what was chosen on it",
        VALIDATION: "Validation: the split that something was chosen on",
        HELD_OUT: HELD_OUT_ROW,
        OTHER: f"{OTHER_HOSPITALS}, or another manifest",
    }
    rows = []
    for kind, title in kinds.items():
        found = [(name, result) for name, result in results if result["evidence"] == kind]
        for name, result in found:
            shown = title
            if kind == VALIDATION:
                shown = validation_row(result["chosen_on"][result["split"]])
            cells = (with_interval(result[metric], result["intervals"][metric]) for metric in names)
            counts = str(result["count"]), str(result["patients"])
            rows.append((f"{shown}: {name}" if name else shown, *counts, *cells))
        if not found and kind in (VALIDATION, HELD_OUT, OTHER):
            rows.append((title, NOT_MEASURED, "", *([""] * len(names))))
    return rows
