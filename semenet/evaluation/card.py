"""The model card: what a network is, is for and is not for, from its run and its measured figures."""

from semenet.evaluation.pages import number, page, with_interval

_FIGURES = {
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
        run: `semenet.training.run.Run`.
        manifest: `semenet.data.manifest.Manifest`, what it was measured on.
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
        licences=licences,
        parameters=run.model.count_params(),
        figures=[
            (name, with_interval(result[key], result["intervals"][key]))
            for key, name in _FIGURES.items()
            if key in result
        ],
        per_class=[
            (
                name,
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


def _located(result):
    classes = (result.get("where") or {}).get("classes") or {}
    return [
        (name, found["count"], number(found["in_lung"]["p50"], 2), number(found["lung_area"]["mean"], 2))
        for name, found in classes.items()
        if found["count"]
    ]
