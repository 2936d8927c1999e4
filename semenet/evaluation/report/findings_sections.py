"""The sections of the report of a network with sigmoid outputs, which may report several findings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.example_sheets import finding_sheet
from semenet.evaluation.drawing.finding_plots import finding_curves
from semenet.evaluation.drawing.pages import cell
from semenet.evaluation.drawing.pictures import picture
from semenet.evaluation.measure.predictions import Predictions
from semenet.evaluation.report.sections import subgroup_tables
from semenet.training.run_folder.run import Run


def findings_sections(
    run: Run,
    rows: pd.DataFrame,
    values: Mapping[str, Any],
    details: Mapping[str, Any],
    labels: np.ndarray,
    predictions: Predictions,
) -> dict[str, Any]:
    """Returns the sections of the report.

    Args:
        run: the run.
        rows: DataFrame of the evaluated rows.
        values: metrics of `semenet.metrics.findings`.
        details: dict of `semenet.evaluation.measure.findings.measure_findings`.
        labels: `(N, K)`, as from `semenet.data.known_labels`.
        predictions: predictions of these rows.

    Returns:
        dict of template variables.
    """
    roc, precision_recall = finding_curves(labels, predictions.probabilities, values)
    areas = ", ".join(f"{name} {_text(found['auroc'])}" for name, found in values["per_class"].items())
    cards, cells = finding_sheet(run, rows, labels, predictions)
    return {
        "findings": _rows(values, details["intervals"]),
        "findings_words": _threshold_words(details["thresholds_chosen_on"]),
        "curves": [
            picture(
                "ROC curves",
                roc,
                f"ROC curves of each finding. Areas under the curve: {areas}.",
                "Closer to the upper left corner is better; the grey diagonal is chance.",
            ),
            picture(
                "Precision-recall curves",
                precision_recall,
                "Precision-recall curves of each finding; the table gives the average precision.",
                "Closer to the upper right corner is better; chance is the finding's share of the images.",
            ),
        ],
        "subgroups": subgroup_tables(details["subgroups"]),
        "sheet": {
            "title": "Example heat maps (Grad-CAM)",
            "explanation": "For each finding, the images that have it with the highest and the lowest "
            "probability, and the image without it with the highest probability. The overlay shows the "
            "evidence for this finding. Each map is scaled to its own maximum: its colours show where, not "
            f"how much. A map has {cells[0]} x {cells[1]} cells, stretched to the image, and cannot locate "
            "anything more precisely. A map shows where a network looked, not why, and does not prove that "
            "it looked at disease.",
            "group": "Finding",
            "groups": cards,
            "colour_bar": plots.svg_uri(plots.colour_bar()),
        },
    }


def _rows(values: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[list[Any]]:
    metrics = ("auroc", "average_precision", "sensitivity", "specificity", "ppv", "npv")
    return [
        [
            name,
            found["support"],
            found["without"],
            found["not_known"],
            cell(found["threshold"]),
            *(cell(found[metric], intervals[f"per_class.{name}.{metric}"]) for metric in metrics),
        ]
        for name, found in values["per_class"].items()
    ]


def _threshold_words(chosen_on: Mapping[str, Any] | None) -> str:
    if chosen_on is None:
        return (
            "All thresholds are 0.5: semenet calibrate chooses them on validation images. With a rare "
            "finding, few probabilities reach 0.5."
        )
    return (
        f"The thresholds were chosen on {chosen_on['count']} images of the split {chosen_on['split']}, each "
        "for the highest sum of sensitivity and specificity (Youden's index)."
    )


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
