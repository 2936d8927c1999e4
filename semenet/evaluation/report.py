"""The report: one HTML file that needs nothing else."""

import importlib.resources

import jinja2
import numpy as np

from semenet.evaluation import plots

RESEARCH_USE = (
    "Research use only: not a medical device. Nothing here may guide the diagnosis or treatment of a patient."
)

# What a headline figure means, for who reads the report and not the paper.
MEANINGS = {
    "accuracy": ("Accuracy", "share of images whose class was predicted"),
    "macro_f1": ("Macro F1", "mean over the classes, each counting the same"),
    "macro_auroc": ("Macro AUROC", "mean over the classes of class against rest; 0.5 is chance"),
    "micro_auroc": ("Micro AUROC", "all decisions together, frequent classes counting more"),
    "dice": ("Dice", "2 x overlap / sum of both areas, mean over images"),
    "iou": ("IoU", "overlap / union, mean over images"),
    "mean_iou": ("Mean IoU", "mean of the IoU inside and outside, over images"),
}


def classification_sections(figures, true_index, probabilities, cards, cells):
    """What the report of a classifier shows beyond every report's parts.

    Args:
        figures: dict, of `semenet.metrics.classification`.
        true_index: int array `(N,)`.
        probabilities: float array `(N, K)`.
        cards: dict from class name to a list of `semenet.evaluation.sheets.Card`.
        cells: `(h, w)`, the size of the Grad-CAM maps.

    Returns:
        dict of the template's variables.
    """
    names, matrix = figures["class_names"], figures["confusion_matrix"]
    aurocs = ", ".join(
        f"{name} {_number(of_class['auroc'])}" for name, of_class in figures["per_class"].items()
    )
    rows = "; ".join(
        f"true {name}: " + ", ".join(f"{count} as {other}" for other, count in zip(names, row, strict=True))
        for name, row in zip(names, matrix, strict=True)
    )
    return {
        "per_class": figures["per_class"],
        "curves": [
            _picture(
                "ROC curves",
                plots.roc_curves(true_index, probabilities, names),
                f"ROC curves, one class against the rest. Areas under the curve: {aurocs}.",
            ),
            _picture(
                "Confusion matrix: images, and share of the true class",
                plots.confusion(matrix, names),
                f"Confusion matrix. {rows}.",
            ),
        ],
        "sheet": {
            "title": "What the network looked at (Grad-CAM)",
            "explanation": "For each true class up to three images that were classified rightly (the surest, "
            "the least sure, and one between) and up to three that were not (the surest mistakes). The "
            "overlay shows what spoke for the class predicted. Each map is scaled to its own highest value: "
            f"its colours say where, not how much; and it has {cells[0]} x {cells[1]} cells, stretched to "
            "the picture: it places nothing more finely than that. A map shows where a network looked, not "
            "why, and no map proves that it looked at disease.",
            "group": "True class",
            "pictures": "original and Grad-CAM overlay",
            "groups": cards,
            "colour_bar": plots.svg_uri(plots.colour_bar()),
        },
    }


def segmentation_sections(scores, cards):
    """What the report of a segmentation network shows beyond every report's parts.

    Args:
        scores: dict of arrays `(N,)`, of `semenet.metrics.overlap`.
        cards: dict from a group's name to a list of `semenet.evaluation.sheets.Card`.

    Returns:
        dict of the template's variables.
    """
    quantiles = {"lowest": 0, "5th percentile": 0.05, "median": 0.5, "highest": 1}
    return {
        "spread": {
            MEANINGS[name][0]: {label: float(np.quantile(values, q)) for label, q in quantiles.items()}
            for name, values in scores.items()
        },
        "sheet": {
            "title": "Outlines",
            "explanation": "The images with the lowest, the middling and the highest Dice, as the network "
            "sees them: stretched to its input.",
            "group": "Dice",
            "pictures": "original and outlines",
            "groups": cards,
            "outlines": {"true": _css(plots.TRUE_COLOUR), "predicted": _css(plots.PREDICTED_COLOUR)},
        },
    }


def render(*, run, manifest, split, patients, figures, sections, skipped, command, versions, date):
    """Renders the report.

    Args:
        run: `semenet.training.run.Run`.
        manifest: `semenet.data.manifest.Manifest`.
        split: the split measured.
        patients: int, how many patients the measured images are of.
        figures: dict of the metrics.
        sections: dict, of `classification_sections` or `segmentation_sections`.
        skipped: list of dicts of file and reason: what was left out.
        command: str, the command that makes this report.
        versions: dict from package to version.
        date: aware datetime.

    Returns:
        str, an HTML document that refers to nothing outside itself.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    template = importlib.resources.files("semenet.evaluation").joinpath("report.html.j2")
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        {"per_class": None, "curves": [], "spread": None}
        | sections
        | {
            "research_use": RESEARCH_USE,
            "network": run.model.name,
            "run": run,
            "parameters": run.model.count_params(),
            "training": _training_pictures(run),
            "manifest": manifest,
            "split": split,
            "headline": [(*MEANINGS[name], figures[name]) for name in MEANINGS if name in figures],
            "count": figures["count"],
            "patients": patients,
            "splits": _split_counts(manifest, run),
            "warnings": _warnings(manifest, split, run),
            "skipped": skipped,
            "command": command,
            "versions": versions,
            "date": date,
        }
    )


def _picture(title, figure, alt):
    return {"title": title, "uri": plots.svg_uri(figure), "alt": alt}


def _training_pictures(run):
    if run.history is None or run.history.empty:
        return []
    last = run.history.iloc[-1]
    return [
        _picture(
            {"losses": "Loss while training", "figures": "Figures while training"}[panel],
            figure,
            f"Curves over {len(run.history)} epochs; in the last one "
            + ", ".join(
                f"{line.get_label()} {last[line.get_label()]:.3f}"
                for line in figure.axes[0].lines
                if line.get_label() in last
            ),
        )
        for panel, figure in plots.training_curves(run.history, run.record.get("best_epoch")).items()
    ]


def _split_counts(manifest, run):
    """For each split: images, patients, and images a class (labels the network lacks come last)."""
    rows = manifest.rows
    labels = []
    if not run.segments:
        labels = [*run.class_names, *sorted(set(rows["label"]) - set(run.class_names))]
    order = {name: place for place, name in enumerate(("train", "val", "test"))}
    counts = {}
    for name in sorted(set(rows["split"]), key=lambda name: (order.get(name, len(order)), name)):
        of_split = rows[rows["split"] == name]
        counts[name] = {"images": len(of_split), "patients": of_split["patient"].nunique()} | {
            label: int((of_split["label"] == label).sum()) for label in labels
        }
    return counts


def _warnings(manifest, split, run):
    """What makes the figures look better than the network is, or hard to compare."""
    warnings = []
    rows = manifest.rows
    trained = set(rows.loc[rows["split"] == "train", "patient"])
    if split == "train":
        warnings.append("These are the training images: the figures say how well they were learnt by heart.")
    elif shared := trained & set(rows.loc[rows["split"] == split, "patient"]):
        warnings.append(
            f"{len(shared)} patients of this split also have images in the split train: the figures are "
            "better than they would be on other patients."
        )
    if overlap := run.record.get("patient_overlap"):
        warnings.append(
            f"The network was trained with {len(overlap)} patients standing in two splits, which had to be "
            "asked for (--allow-patient-overlap): the epoch it is kept from was chosen on some of them."
        )
    trained_with = run.record.get("manifest_sha256")
    if split == "val" and trained_with == manifest.sha256:
        warnings.append(
            "The best epoch was chosen by its figures on this split, so they are somewhat flattered; a split "
            "that chose nothing is a fairer judge."
        )
    if trained_with is None:
        warnings.append(
            "What the network was trained on is not recorded: some of these images may have been among it."
        )
    elif trained_with != manifest.sha256:
        warnings.append(
            "The network was trained with another manifest: whether patients stand in both was not checked."
        )
    return warnings


def _number(value):
    return "undefined" if value is None else f"{value:.3f}"


def _css(colour):
    return "#{:02x}{:02x}{:02x}".format(*colour)
