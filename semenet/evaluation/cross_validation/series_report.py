"""Renders the report of a cross-validation as one self-contained HTML file."""

import datetime
from typing import Any

from semenet import metrics
from semenet.evaluation.cross_validation.folds import BY_PATIENT
from semenet.evaluation.cross_validation.pooled_metrics import AVERAGED
from semenet.evaluation.cross_validation.source_contrasts import INNER, OTHERS, WITHIN
from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.pages import cell, number, render_page
from semenet.evaluation.drawing.pictures import picture
from semenet.evaluation.measure.saved_predictions import SavedPredictions
from semenet.evaluation.report.html_report import MIN_PATIENTS
from semenet.evaluation.report.metric_names import MEANINGS
from semenet.evaluation.report.sections import subgroup_tables

_FROM = {WITHIN: "same source", OTHERS: "other left-out sources", INNER: "inner split"}


def render_series(result: dict[str, Any], pooled: SavedPredictions, date: datetime.datetime) -> str:
    """Renders the report.

    Args:
        result: the content of metrics.json.
        pooled: the predictions of all held-out images.
        date: timezone-aware date of the report.

    Returns:
        str, an HTML document without external references.
    """
    by_patient = result["by"] == BY_PATIENT
    shown = [name for name in AVERAGED if name in result["mean"]]
    names = pooled.class_names
    return render_page(
        "cross_validation.html.j2",
        network=result["network"],
        by=result["by"],
        by_patient=by_patient,
        plan=result["plan"],
        count=result["pooled"]["count"],
        patients=result["pooled"]["patients"],
        headline=[
            {
                "name": MEANINGS[name][0],
                "meaning": MEANINGS[name][1],
                "value": result["pooled"]["figures"][name],
                "interval": result["pooled"]["intervals"][name],
            }
            for name in MEANINGS
            if name in result["pooled"]["figures"]
        ],
        fold_columns=[
            "Fold" if by_patient else f"Left out: {result['by']}",
            "Images",
            "Patients",
            "Trained on",
            "Chosen on",
            "Epoch",
            *(MEANINGS[name][0] for name in shown),
            *(["Images by class"] if names else []),
        ],
        fold_rows=[
            [
                fold["name"],
                fold["count"],
                fold["patients"],
                fold["train"]["images"],
                fold["val"]["images"],
                fold["best_epoch"],
                *(cell(fold["figures"][name], fold["intervals"][name]) for name in shown),
                *([", ".join(f"{name} {n}" for name, n in fold["classes"].items())] if names else []),
            ]
            for fold in result["folds"]
        ],
        mean_columns=["Metric", "Mean over the folds", "sd (n - 1)", "Folds", "All images pooled"],
        mean_rows=[
            [
                MEANINGS[name][0],
                cell(result["mean"][name]["mean"], result["mean"][name]["interval"]),
                number(result["mean"][name]["sd"]),
                result["mean"][name]["folds"],
                cell(result["pooled"]["figures"][name], result["pooled"]["intervals"][name]),
            ]
            for name in shown
        ],
        class_columns=["Class", "Images", "Sensitivity", "Specificity", "AUROC", "Average precision"],
        class_rows=_class_rows(result["pooled"], names),
        contrast_columns=["Left out", "Label", "Against", "From", "Images", "Patients", "AUROC"],
        contrast_rows=[_contrast_row(contrast) for contrast in result["contrasts"]],
        curves=_curves(pooled),
        subgroups=subgroup_tables(result["subgroups"]),
        warnings=_warnings(result),
        skipped=[file for fold in result["folds"] for file in fold["skipped"]],
        date=date,
        **{name: result[name] for name in ("command", "versions", "interval_method")},
    )


def _class_rows(pooled: dict[str, Any], names: tuple[str, ...]) -> list[list[Any]]:
    figures, intervals = pooled["figures"], pooled["intervals"]
    keys = ("sensitivity", "specificity", "auroc", "average_precision")
    return [
        [
            name,
            pooled["classes"].get(name, 0),
            *(cell(figures[key], intervals[key]) for key in (f"per_class.{name}.{key}" for key in keys)),
        ]
        for name in names
    ]


def _contrast_row(contrast: dict[str, Any]) -> list[Any]:
    sources = ", ".join(contrast["against_sources"]) if contrast["against_from"] == OTHERS else ""
    return [
        contrast["left_out"],
        contrast["label"],
        contrast["against"],
        _FROM[contrast["against_from"]] + (f": {sources}" if sources else ""),
        " / ".join(map(str, contrast["images"])),
        " / ".join(map(str, contrast["patients"])),
        cell(contrast["auroc"], contrast["interval"]),
    ]


def _curves(pooled: SavedPredictions) -> list[dict[str, Any]]:
    if not pooled.class_names:
        return []
    arrays = pooled.possible, pooled.probabilities, pooled.class_names
    matrix = metrics.classification(*arrays)["confusion_matrix"]
    return [
        picture(
            "ROC curves",
            plots.roc_curves(*arrays),
            "ROC curves of all held-out images, one class against the rest; the table above has the areas",
            "All held-out images together. The grey diagonal is chance.",
        ),
        picture(
            "Confusion matrix",
            plots.confusion(matrix, pooled.class_names),
            f"Confusion matrix of all held-out images, rows are true classes: {matrix}",
            "Each cell shows the number of images and their share of the true class. Images with a partial "
            "label are left out.",
        ),
    ]


def _warnings(result: dict[str, Any]) -> list[str]:
    warnings = list(result["warnings"])
    few = [fold["name"] for fold in result["folds"] if fold["patients"] < MIN_PATIENTS]
    if few:
        warnings.append(
            f"Fewer than {MIN_PATIENTS} patients are held out in {', '.join(few)}: the intervals of these "
            "folds are too narrow."
        )
    excluded = sum(fold["excluded"] for fold in result["folds"])
    if excluded:
        warnings.append(
            f"{excluded} images show patients who also have images of the left-out value. They were neither "
            "trained on nor predicted in that fold."
        )
    return warnings
