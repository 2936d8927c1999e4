"""The sections of the report that only classifiers, or only segmentation networks, have."""

import numpy as np

from semenet.evaluation.drawing import plots
from semenet.evaluation.drawing.pages import cell, number, with_interval
from semenet.evaluation.explanation.heat_maps_of_split import in_lung_plot
from semenet.evaluation.explanation.lung_zones import ZONES
from semenet.evaluation.explanation.randomization import sanity_curve

_SUBGROUP_FIGURES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "macro_auroc": "Macro AUROC",
    "dice": "Dice",
    "iou": "IoU",
    "mean_iou": "Mean IoU",
    "hausdorff95": "95 % Hausdorff",
}


def classification_sections(figures, details, true_index, probabilities, cards, cells):
    """What the report of a classifier shows beyond every report's parts.

    Args:
        figures: dict, of `semenet.metrics.classification`.
        details: dict, of `semenet.evaluation.measure.classification.measure_classification`, and `where`, of
            `semenet.evaluation.explanation.heat_maps_of_split.look`.
        true_index: int array `(N,)`.
        probabilities: float array `(N, K)`.
        cards: dict from class name to a list of `semenet.evaluation.drawing.example_sheets.Card`.
        cells: `(h, w)`, the size of the Grad-CAM maps.

    Returns:
        dict of the template's variables.
    """
    names, matrix = figures["class_names"], figures["confusion_matrix"]
    rows = "; ".join(
        f"true {name}: " + ", ".join(f"{count} as {other}" for other, count in zip(names, row, strict=True))
        for name, row in zip(names, matrix, strict=True)
    )
    return {
        "per_class": _per_class(figures, details["intervals"]),
        "curves": [
            picture(
                "ROC curves",
                plots.roc_curves(true_index, probabilities, names),
                "ROC curves, one class against the rest. Areas under the curve: "
                f"{_by_class(figures, 'auroc')}.",
                "Nearer the upper left is better; the grey diagonal is chance.",
            ),
            picture(
                "Precision-recall curves",
                plots.precision_recall_curves(true_index, probabilities, names),
                "Precision-recall curves, one class against the rest. Average precision: "
                f"{_by_class(figures, 'average_precision')}.",
                "Nearer the upper right is better; chance is the class's share of the images.",
            ),
            picture(
                "Confusion matrix",
                plots.confusion(matrix, names),
                f"Confusion matrix. {rows}.",
                "In each cell images, and their share of the true class.",
            ),
        ],
        "calibration": _calibration(figures, details),
        "subgroups": _subgroups(details["subgroups"]),
        "where": _where(details["where"]),
        "sheet": {
            "title": "What the network looked at (Grad-CAM)",
            "explanation": "For each true class up to three images that were classified rightly (the surest, "
            "the least sure, and one between) and up to three that were not (the surest mistakes). Below "
            "each stands the class predicted with its probability, then the true class. The overlay shows "
            "what spoke for the class predicted. Each map is scaled to its own highest value: "
            f"its colours say where, not how much; and it has {cells[0]} x {cells[1]} cells, stretched to "
            "the picture: it places nothing more finely than that. A map shows where a network looked, not "
            "why, and no map proves that it looked at disease.",
            "group": "True class",
            "groups": cards,
            "colour_bar": plots.svg_uri(plots.colour_bar()),
        },
    }


def segmentation_sections(figures, details, scores, cards):
    """What the report of a segmentation network shows beyond every report's parts.

    Args:
        figures: dict, of `semenet.metrics.mean_overlap`.
        details: dict with `subgroups`, of `semenet.evaluation.measure.subgroups.subgroup_means`.
        scores: dict of arrays `(N,)`, of `semenet.metrics.overlap`.
        cards: dict from "worst", "middle" and "best" to a list of
        `semenet.evaluation.drawing.example_sheets.Card`.

    Returns:
        dict of the template's variables.
    """
    quantiles = {"lowest": 0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "highest": 1}
    undefined = figures["hausdorff95_undefined"]
    return {
        "spread": [
            [_SUBGROUP_FIGURES[name], *(_quantile(values, share) for share in quantiles.values())]
            for name, values in scores.items()
        ],
        "spread_labels": list(quantiles),
        "subgroups": _subgroups(details["subgroups"]),
        "sheet": {
            "title": "Lung outlines",
            "explanation": "The worst, middling and best images by Dice, as the network sees them. The 95 % "
            "Hausdorff distance is in pixels of the network's input"
            + (f"; {undefined} images have none, one of the masks being empty." if undefined else "."),
            "group": "Dice",
            "groups": cards,
            "outlines": {"true": _css(plots.TRUE_COLOUR), "predicted": _css(plots.PREDICTED_COLOUR)},
        },
    }


def picture(title, figure, alt, note=None):
    """A matplotlib Figure for the template, with what it shows in words and a note on how to read it."""
    return {"title": title, "uri": plots.svg_uri(figure), "alt": alt, "note": note}


def _per_class(figures, intervals):
    columns = ("ppv", "sensitivity", "f1", "auroc", "specificity", "npv", "average_precision")
    return [
        [
            name,
            of_class["support"],
            *(cell(of_class[column], intervals[f"per_class.{name}.{column}"]) for column in columns),
        ]
        for name, of_class in figures["per_class"].items()
    ]


def _by_class(figures, figure):
    return ", ".join(f"{name} {number(of_class[figure])}" for name, of_class in figures["per_class"].items())


def _calibration(figures, details):
    found, intervals = details["calibration"], details["intervals"]
    words = (
        f"The expected calibration error is {with_interval(figures['ece'], intervals['ece'])}: by how much, "
        "on average, the highest probability and the share of right answers differ. Few images raise it, "
        "and resampling them raises it more: its interval lies too high. The Brier score, the squared "
        f"distance of the probabilities from the truth, is "
        f"{with_interval(figures['brier'], intervals['brier'])}. For both, 0 is best. "
    )
    if found["chosen_on"] is None:
        words += (
            "The network is not calibrated: semenet calibrate chooses a temperature on validation images."
        )
        diagram = plots.reliability_diagram(_arrays(found["reliability"]))
    else:
        own = found["uncalibrated"]
        words += (
            f"The network's logits are divided by a temperature of {found['temperature']:.3f}, chosen on "
            f"{found['chosen_on']['count']} images of the split {found['chosen_on']['split']}; without it "
            f"these would be {own['ece']:.3f} and {own['brier']:.3f}."
        )
        diagram = plots.reliability_diagram(_arrays(own["reliability"]), _arrays(found["reliability"]))
    alt = "Reliability diagram: accuracy against the highest probability; the text above has its figures"
    note = (
        "On the diagonal a probability holds what it says; below it the network is too sure. Larger dots: "
        "more images."
    )
    return {
        "words": words,
        "pictures": [picture("Reliability diagram", diagram, alt, note)],
        **_points(details["operating_points"], details["calibration"]["chosen_on"]),
        "abstain": _abstention(details["abstain"], found["chosen_on"]),
    }


def _points(points, chosen_on):
    rows = []
    for name, aims in (points or {}).items():
        for aim, found in aims.items():
            if found is not None:
                rates = (
                    cell(found[rate], found["intervals"][rate])
                    for rate in ("sensitivity", "specificity", "ppv", "npv")
                )
                rows.append([f"{name}: {aim} of {found['target']:g}", cell(found["threshold"]), *rates])
    words = chosen_on and (
        f"Thresholds of the calibrated probability, chosen on the split {chosen_on['split']} to reach the "
        "aim there; the figures are of the images measured here. Predictive values hold for these images' "
        "share of the class."
    )
    return {"points": rows, "points_words": words}


def _abstention(found, chosen_on):
    if found is None:
        return None
    return (
        f"The network answers only where the highest probability is {found['confidence']:.3f} or more, "
        f"chosen on the split {chosen_on['split']} for an accuracy of {found['target_accuracy']:g} among the "
        "answers. "
        "Share of the images measured here that it answers: "
        f"{with_interval(found['coverage'], found['intervals']['coverage'])}. Accuracy of the answers: "
        f"{with_interval(found['accuracy'], found['intervals']['accuracy'])}."
    )


def _subgroups(subgroups):
    tables = []
    for column, values in subgroups.items():
        shown = [name for name in _SUBGROUP_FIGURES if name in next(iter(values.values()))["figures"]]
        tables.append(
            {
                "column": column,
                "columns": [column, "Images", "Patients", *(_SUBGROUP_FIGURES[name] for name in shown)],
                "rows": [
                    [
                        value,
                        found["count"],
                        found["patients"],
                        *(cell(found["figures"][name], found["intervals"][name]) for name in shown),
                    ]
                    for value, found in values.items()
                ],
            }
        )
    return tables


def _where(found):
    sanity = found["sanity"]
    verdict = {True: "They pass", False: "They fail", None: "It is open whether they pass"}[sanity["passes"]]
    pictures = [
        picture(
            "Randomisation check",
            sanity_curve(sanity),
            "Rank correlation of heat maps with those of the trained network after drawing anew "
            + ", ".join(f"{group['group']}: {number(group['correlation'], 2)}" for group in sanity["groups"]),
            "How alike the maps stay while the weights are drawn anew, from the last layers (left) down to "
            "the first; 1 is alike, 0 is unlike. The band is the 95 % interval.",
        )
    ]
    method = {"cam": "CAM", "grad-cam": "Grad-CAM"}[found["method"]]
    words = (
        f"Heat maps ({method}) for the class predicted. Maps that stay the same when the network's weights "
        "are drawn at random show nothing of what it has learnt (Adebayo et al. 2018). "
        f"{verdict} this check: {sanity['rule']}."
    )
    if found["classes"] is None:
        words += " Where the heat lies is not measured: there are no lung masks (--lungs names a U-Net)."
        return {"words": words, "pictures": pictures, "zones": []}
    measured = {name: of_class for name, of_class in found["classes"].items() if of_class["count"]}
    maps = sum(of_class["count"] for of_class in measured.values())
    words += (
        f" {maps} maps are measured by {found['masks']}. A map that is the same everywhere has the lungs' "
        "share of the image inside them."
    )
    if measured:
        told = "; ".join(
            f"{name}: median {of_class['in_lung']['p50']:.2f}, lungs {of_class['lung_area']['mean']:.2f}"
            for name, of_class in measured.items()
        )
        alt = f"Share of the heat maps inside the lungs. {told}"
        note = (
            "By class predicted. Line: the median map; box: the middle half of the maps; whiskers: 90 % of "
            "them; diamond: the lungs' share of the image."
        )
        pictures.insert(0, picture("Heat inside the lungs", in_lung_plot(measured), alt, note))
    rows = [
        [
            name,
            of_class["count"],
            number(of_class["in_lung"]["mean"], 2),
            *(f"{of_class['zones'][zone]:.2f} ({of_class['zone_areas'][zone]:.2f})" for zone in ZONES),
        ]
        for name, of_class in measured.items()
        if of_class["zones"] is not None
    ]
    columns = ["Class predicted", "Maps", "In the lungs", *(zone.capitalize() for zone in ZONES)]
    return {"words": words, "pictures": pictures, "zones": rows, "zone_columns": columns}


def _arrays(bins):
    return {
        name: np.array([np.nan if value is None else value for value in values])
        for name, values in bins.items()
    }


def _quantile(values, share):
    defined = values[~np.isnan(values)]
    return cell(float(np.quantile(defined, share)) if len(defined) else None)


def _css(colour):
    return "#{:02x}{:02x}{:02x}".format(*colour)
