"""The model card: what a network is, is for and is not for, from its run and its measured figures."""

import re

from semenet.evaluation.drawing.pages import number, page, with_interval

FIGURES = {
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


def render(run, manifest, result, date):
    """Writes the card of a network that was measured.

    Args:
        run: `semenet.training.run_folder.run.Run`.
        manifest: `semenet.data.manifest.table.Manifest`, what it was measured on.
        result: dict, the content of metrics.json.
        date: aware datetime.

    Returns:
        str, Markdown.
    """
    rows = manifest.rows[manifest.rows["split"] == result["split"]]
    licences = sorted(set(rows["license"]) - {""}) if "license" in rows else []
    return page(
        "card.md.j2",
        run=run,
        manifest=manifest,
        result=result,
        date=date,
        name=in_text(run.model.name),
        class_names=[in_text(name) for name in result["class_names"]],
        split=in_text(result["split"]),
        trained_by=in_code(run.record["command"]) if "command" in run.record else None,
        measured_by=in_code(result["command"]),
        audited_split=in_text(result["audit"]["split"]) if result["audit"] else None,
        licences=[in_text(licence) for licence in licences],
        parameters=run.model.count_params(),
        figures=[
            (name, with_interval(result[key], result["intervals"][key]))
            for key, name in FIGURES.items()
            if key in result
        ],
        per_class=[
            (
                in_text(name),
                of_class["support"],
                *(
                    with_interval(of_class[key], result["intervals"][f"per_class.{name}.{key}"])
                    for key in ("sensitivity", "specificity", "auroc")
                ),
            )
            for name, of_class in result.get("per_class", {}).items()
        ],
        located=_located(result),
    )


def in_text(text):
    """Text, such as a class's name, as Markdown that shows it as it is, in a line and in a table's cell."""
    line = " ".join(str(text).split())
    return re.sub(r"[\\`*\[\]<|~]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)


def in_code(text):
    """Text as a span of code, on one line, whatever marks of code it holds itself."""
    line = " ".join(str(text).splitlines())
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    # A blank beside a mark of its own, which Markdown takes off again.
    space = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}"


def _located(result):
    classes = (result.get("where") or {}).get("classes") or {}
    return [
        (
            in_text(name),
            found["count"],
            number(found["in_lung"]["p50"], 2),
            number(found["lung_area"]["mean"], 2),
        )
        for name, found in classes.items()
        if found["count"]
    ]
