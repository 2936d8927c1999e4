"""The sections of the report that depend on the kind of network: classifier or segmentation network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.example_sheets import METHOD_NAMES, Card
from semenet.evaluation.drawing.pages import cell, number
from semenet.evaluation.drawing.pictures import picture
from semenet.evaluation.report.calibration_section import calibration_section
from semenet.evaluation.report.heat_map_section import heat_map_section
from semenet.inference.heat_maps.explained_layers import LAST

_SUBGROUP_METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "macro_auroc": "Macro AUROC",
    "dice": "Dice",
    "iou": "IoU",
    "mean_iou": "Mean IoU",
    "hausdorff95": "95 % Hausdorff",
}


def classification_sections(
    values: Mapping[str, Any],
    details: Mapping[str, Any],
    possible: np.ndarray,
    probabilities: np.ndarray,
    cards: Mapping[str, Sequence[Card]],
    cells: tuple[int, int],
) -> dict[str, Any]:
    """Returns the sections of a classifier's report.

    Args:
        values: metrics of `semenet.metrics.classification`.
        details: dict of `semenet.evaluation.measure.classification.measure_classification`, and `where`, of
            `semenet.evaluation.explanation.heat_map_analysis.analyse_heat_maps`.
        possible: `(N, K)`, the possible classes of each image.
        probabilities: float array `(N, K)`.
        cards: example cards by class name.
        cells: `(h, w)`, the size of the heat maps.

    Returns:
        dict of template variables.
    """
    names, matrix = values["class_names"], values["confusion_matrix"]
    rows = "; ".join(
        f"true {name}: " + ", ".join(f"{count} as {other}" for other, count in zip(names, row, strict=True))
        for name, row in zip(names, matrix, strict=True)
    )
    return {
        "per_class": _per_class(values, details["intervals"]),
        "curves": [
            picture(
                "ROC curves",
                plots.roc_curves(possible, probabilities, names),
                "ROC curves, one class against the rest. Areas under the curve: "
                f"{_by_class(values, 'auroc')}.",
                "Closer to the upper left corner is better; the grey diagonal is chance.",
            ),
            picture(
                "Precision-recall curves",
                plots.precision_recall_curves(possible, probabilities, names),
                "Precision-recall curves, one class against the rest. Average precision: "
                f"{_by_class(values, 'average_precision')}.",
                "Closer to the upper right corner is better; chance is the class's share of the images.",
            ),
            picture(
                "Confusion matrix",
                plots.confusion(matrix, names),
                f"Confusion matrix. {rows}.",
                "Each cell shows the number of images and their share of the true class."
                + (" Images with a partial label are left out." if "partial_labels" in values else ""),
            ),
        ],
        "calibration": calibration_section(values, details),
        "subgroups": subgroup_tables(details["subgroups"]),
        "where": heat_map_section(details["where"]),
        "sheet": {
            "title": f"Example heat maps ({_described(details['where'])})",
            "explanation": "For each true class, up to three images that were classified correctly (the most "
            "confident, the least confident, and one in between) and up to three that were not (the most "
            "confident errors). Below each image stand the predicted class with its probability and the true "
            "class. The overlay shows the evidence for the predicted class. Each map is scaled to its own "
            "maximum: its colours show where, not how much. A map has "
            f"{cells[0]} x {cells[1]} cells, stretched to the image, and cannot locate anything more "
            "precisely. A map shows where a network looked, not why, and does not prove that it looked at "
            "disease.",
            "group": "True class",
            "groups": cards,
            "colour_bar": plots.svg_uri(plots.colour_bar()),
        },
    }


def _described(found: Mapping[str, Any]) -> str:
    """Returns the method of the heat maps in words, with their layer unless it is the last one."""
    name, layer = METHOD_NAMES[found["method"]], found["sanity"]["layer"]
    return name if layer == LAST else f"{name} of {layer}"


def segmentation_sections(
    values: Mapping[str, Any],
    details: Mapping[str, Any],
    scores: Mapping[str, np.ndarray],
    cards: Mapping[str, Sequence[Card]],
) -> dict[str, Any]:
    """Returns the sections of a segmentation network's report.

    Args:
        values: metrics of `semenet.metrics.mean_overlap`.
        details: dict with `subgroups`, of `semenet.evaluation.measure.subgroups.subgroup_means`.
        scores: arrays `(N,)` of `semenet.metrics.overlap`.
        cards: example cards by "worst", "middle" and "best".

    Returns:
        dict of template variables.
    """
    quantiles = {"lowest": 0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "highest": 1}
    undefined = values["hausdorff95_undefined"]
    return {
        "spread": [
            [_SUBGROUP_METRICS[name], *(_quantile(of_images, share) for share in quantiles.values())]
            for name, of_images in scores.items()
        ],
        "spread_labels": list(quantiles),
        "subgroups": subgroup_tables(details["subgroups"]),
        "sheet": {
            "title": "Lung outlines",
            "explanation": "The images with the lowest, middle and highest Dice, at the network's input "
            "size. The 95 % Hausdorff distance is in pixels of the network's input"
            + (
                f"; it is undefined for {undefined} images, because one of the masks is empty."
                if undefined
                else "."
            ),
            "group": "Dice",
            "groups": cards,
            "outlines": {"true": _css(plots.TRUE_COLOUR), "predicted": _css(plots.PREDICTED_COLOUR)},
        },
    }


def _per_class(values: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[list[Any]]:
    columns = ("ppv", "sensitivity", "f1", "auroc", "specificity", "npv", "average_precision")
    return [
        [
            name,
            of_class["support"],
            *(cell(of_class[column], intervals[f"per_class.{name}.{column}"]) for column in columns),
        ]
        for name, of_class in values["per_class"].items()
    ]


def _by_class(values: Mapping[str, Any], metric: str) -> str:
    return ", ".join(f"{name} {number(of_class[metric])}" for name, of_class in values["per_class"].items())


def subgroup_tables(subgroups: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the tables of subgroups for a report.

    Args:
        subgroups: dict of `subgroup_metrics` or `subgroup_means` in `semenet.evaluation.measure.subgroups`.

    Returns:
        list of dict with `column`, `columns` (the header) and `rows`.
    """
    tables = []
    for column, of_column in subgroups.items():
        shown = [name for name in _SUBGROUP_METRICS if name in next(iter(of_column.values()))["figures"]]
        tables.append(
            {
                "column": column,
                "columns": [column, "Images", "Patients", *(_SUBGROUP_METRICS[name] for name in shown)],
                "rows": [
                    [
                        value,
                        found["count"],
                        found["patients"],
                        *(cell(found["figures"][name], found["intervals"][name]) for name in shown),
                    ]
                    for value, found in of_column.items()
                ],
            }
        )
    return tables


def _quantile(values: np.ndarray, share: float) -> dict[str, Any]:
    defined = values[~np.isnan(values)]
    return cell(float(np.quantile(defined, share)) if len(defined) else None)


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
