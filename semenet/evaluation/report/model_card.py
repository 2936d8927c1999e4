"""Renders the model card: what a network is, its intended use, and its measured metrics."""

import datetime
from typing import Any

from semenet.data.manifest.table import Manifest
from semenet.data.phantom.synthetic_rows import synthetic_sentence
from semenet.evaluation.drawing.markdown import code_span, escape_markdown
from semenet.evaluation.drawing.pages import number, render_page, with_interval
from semenet.evaluation.drawing.private_text import shown_command
from semenet.evaluation.report.evidence_table import evidence_rows, headline_names
from semenet.evaluation.report.failed_checks import failed_checks
from semenet.evaluation.report.html_report import partial_label_sentences
from semenet.training.run_folder.run import Run

METRIC_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "macro_auroc": "Macro AUROC",
    "macro_average_precision": "Macro average precision",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "dice": "Dice",
    "iou": "IoU",
    "mean_iou": "Mean IoU",
    "hausdorff95": "95 % Hausdorff distance, pixels of the input",
}


def render_card(run: Run, manifest: Manifest, result: dict[str, Any], date: datetime.datetime) -> str:
    """Renders the card of an evaluated network.

    Args:
        run: the run of the network.
        manifest: the manifest that it was evaluated on.
        result: the content of metrics.json.
        date: timezone-aware date of the evaluation.

    Returns:
        str, Markdown.
    """
    rows = manifest.rows[manifest.rows["split"] == result["split"]]
    licences = sorted(set(rows["license"]) - {""}) if "license" in rows else []
    return render_page(
        "card.md.j2",
        run=run,
        manifest=manifest,
        result=result,
        date=date,
        name=escape_markdown(run.model.name),
        class_names=[escape_markdown(name) for name in result["class_names"]],
        split=escape_markdown(result["split"]),
        trained_by=code_span(shown_command(run.record["command"])) if "command" in run.record else None,
        evaluated_by=code_span(shown_command(result["command"])),
        audited_split=escape_markdown(result["audit"]["split"]) if result["audit"] else None,
        licences=[escape_markdown(licence) for licence in licences],
        parameters=run.model.count_params(),
        metric_rows=[
            (name, with_interval(result[key], result["intervals"][key]))
            for key, name in METRIC_NAMES.items()
            if key in result
        ],
        per_class=[
            (
                escape_markdown(name),
                of_class["support"],
                *(
                    with_interval(of_class[key], result["intervals"][f"per_class.{name}.{key}"])
                    for key in ("sensitivity", "specificity", "auroc")
                ),
            )
            for name, of_class in result.get("per_class", {}).items()
        ],
        located=_heat_map_rows(result),
        synthetic=synthetic_sentence(result.get("synthetic_images", 0), result["count"]),
        failed=failed_checks(result),
        partial_labels=[escape_markdown(sentence) for sentence in partial_label_sentences(result)],
        evidence_columns=[METRIC_NAMES[name] for name in headline_names(result)],
        evidence_rows=evidence_rows([("", result)]),
    )


def _heat_map_rows(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    classes = (result.get("where") or {}).get("classes") or {}
    return [
        (
            escape_markdown(name),
            found["count"],
            number(found["in_lung"]["p50"], 2),
            number(found["lung_area"]["mean"], 2),
        )
        for name, found in classes.items()
        if found["count"]
    ]
