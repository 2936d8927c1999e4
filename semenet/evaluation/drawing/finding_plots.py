"""The curves of networks that report several findings of one image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from semenet import metrics
from semenet.evaluation.drawing.plots import curve_style, legend_label, new_figure

_WIDTH = 4.6


def finding_curves(
    labels: np.ndarray, probabilities: np.ndarray, values: Mapping[str, Any]
) -> tuple[Figure, Figure]:
    """Plots a ROC and a precision-recall curve of each finding, over the images where it is known.

    Args:
        labels: `(N, K)`, 1, 0, or below 0 where a label is not known.
        probabilities: float array `(N, K)`.
        values: metrics of `semenet.metrics.findings`.

    Returns:
        Two figures, whose legends give the areas. A finding without images of both kinds has no curve, and
        the legend says so.
    """
    names = list(values["per_class"])
    figures = []
    for metric, curve in (
        ("auroc", metrics.roc_curve),
        ("average_precision", metrics.precision_recall_curve),
    ):
        # Below the axes, so that the names of many findings hide no curve.
        figure, axes = new_figure(_WIDTH, 0.96 * _WIDTH + 0.11 * len(names))
        if metric == "auroc":
            axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
        for index, name in enumerate(names):
            area = values["per_class"][name][metric]
            if area is None:
                axes.plot([], [], " ", label=legend_label(f"{name}: undefined"))
                continue
            known = labels[:, index] >= 0
            x, y = curve(labels[known, index] == 1, probabilities[known, index])
            axes.plot(x, y, label=legend_label(f"{name}: {area:.3f}"), **curve_style(index))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        if metric == "auroc":
            axes.set(
                xlabel="False positive rate (1 - specificity)", ylabel="True positive rate (sensitivity)"
            )
        else:
            axes.set(xlabel="Recall (sensitivity)", ylabel="Precision (positive predictive value)")
        axes.grid(color="0.92")
        title = "AUROC" if metric == "auroc" else "Average precision"
        figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False, title=title)
        figures.append(figure)
    return figures[0], figures[1]
