"""Plots of the report, drawn by matplotlib's object interface, without pyplot's global state."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from semenet import metrics
from semenet.evaluation.drawing.pages import percent
from semenet.inference.heat_maps.overlays import COLOUR_MAP
from semenet.metrics.probabilities import check_labels, decided

# Okabe and Ito's colours, which colour-blind readers can distinguish; the dashes help in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
TRUE_COLOUR, PREDICTED_COLOUR = (86, 180, 233), (230, 159, 0)

# Inches. On a phone and in print a plot is some 3.5 wide: drawn much wider, its text would shrink.
_WIDTH = 4.0
# A legend hides what it covers, because text over curves is hard to read.
_LEGEND = {"framealpha": 0.9, "edgecolor": "none"}

_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")

# Up to this many epochs a curve has a dot for each, because a line of one point is invisible.
_DOTTED_EPOCHS = 20


def roc_curves(true_index: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Plots one-vs-rest ROC curves.

    Args:
        true_index: int array `(N,)`, or `(N, K)`, the possible classes.
        probabilities: float array `(N, K)`.
        class_names: K str.

    Returns:
        Figure; a class of no image, or of every image, has no curve, and the legend says so.
    """
    figure, axes = new_figure(_WIDTH, 0.96 * _WIDTH)
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
    per_class = metrics.classification(true_index, probabilities, class_names)["per_class"]
    possible, probabilities = check_labels(true_index, probabilities)
    known = decided(possible)
    for index, (name, of_class) in enumerate(per_class.items()):
        if of_class["auroc"] is None:
            axes.plot([], [], " ", label=legend_label(f"{name}: undefined"))
            continue
        x, y = metrics.roc_curve(possible[known[:, index], index], probabilities[known[:, index], index])
        axes.plot(x, y, label=legend_label(f"{name}: {of_class['auroc']:.3f}"), **curve_style(index))
    axes.set(
        xlabel="False positive rate (1 - specificity)",
        ylabel="True positive rate (sensitivity)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    axes.grid(color="0.92")
    axes.legend(loc="lower right", title="AUROC, class against rest", **_LEGEND)
    return figure


def precision_recall_curves(
    true_index: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """Plots one-vs-rest precision-recall curves, with each class's share of the images as chance level.

    Args:
        true_index: int array `(N,)`, or `(N, K)`, the possible classes.
        probabilities: float array `(N, K)`.
        class_names: K str.

    Returns:
        Figure; a class of no image, or of every image, has no curve, and the legend says so.
    """
    figure, axes = new_figure(_WIDTH, 0.96 * _WIDTH)
    per_class = metrics.classification(true_index, probabilities, class_names)["per_class"]
    possible, probabilities = check_labels(true_index, probabilities)
    known = decided(possible)
    for index, (name, of_class) in enumerate(per_class.items()):
        if of_class["average_precision"] is None:
            axes.plot([], [], " ", label=legend_label(f"{name}: undefined"))
            continue
        is_true = possible[known[:, index], index]
        recall, precision = metrics.precision_recall_curve(is_true, probabilities[known[:, index], index])
        style = curve_style(index)
        axes.axhline(is_true.mean(), color=style["color"], linewidth=0.8, alpha=0.5, zorder=0)
        label = legend_label(f"{name}: {of_class['average_precision']:.3f}")
        axes.step(recall, precision, where="pre", label=label, **style)
    axes.set(
        xlabel="Recall (sensitivity)",
        ylabel="Precision (positive predictive value)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    axes.grid(color="0.92")
    axes.legend(loc="lower left", title="Average precision; thin: chance", **_LEGEND)
    return figure


def confusion(matrix: Sequence[Sequence[int]] | np.ndarray, class_names: Sequence[str]) -> Figure:
    """Plots a confusion matrix with counts and the shares of each row.

    Args:
        matrix: int `(K, K)`, one row per true class.
        class_names: K str.

    Returns:
        Figure.
    """
    counts = np.asarray(matrix)
    classes = len(class_names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(_WIDTH - 0.6, 0.8 * classes + 1.2)
    figure, axes = new_figure(side + 0.6, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(classes, classes):
        # Above this share, white has more contrast with the blue than black.
        colour = "white" if shares[row, column] > 0.71 else "black"
        text = f"{counts[row, column]}\n{percent(shares[row, column])}"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(classes), class_names)
    if classes > 4 or max(map(len, class_names)) > 10:
        axes.tick_params("x", rotation=30)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), class_names)
    axes.set(xlabel="Predicted", ylabel="True")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def reliability_diagram(
    bins_before: Mapping[str, np.ndarray], bins_after: Mapping[str, np.ndarray] | None = None
) -> Figure:
    """Plots accuracy against confidence, and below it the number of images by confidence.

    On the diagonal the confidence equals the accuracy; below it the network is overconfident. A larger dot
    represents more images.

    Args:
        bins_before: bins of `semenet.metrics.reliability`, before calibration.
        bins_after: the same bins after calibration; or None.

    Returns:
        Figure with two axes.
    """
    figure = Figure(figsize=(_WIDTH, 1.2 * _WIDTH), layout="constrained")
    axes, counts = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
    by_name = {"before calibration": bins_before, "after calibration": bins_after}
    for index, (name, bins) in enumerate(by_name.items()):
        if bins is None:
            continue
        filled = bins["count"] > 0
        style = curve_style(index)
        axes.plot(bins["confidence"][filled], bins["accuracy"][filled], label=name, **style)
        sizes = 8 + 72 * bins["count"][filled] / bins["count"].sum()
        axes.scatter(bins["confidence"][filled], bins["accuracy"][filled], s=sizes, color=style["color"])
        counts.stairs(bins["count"], bins["edges"], color=style["color"], linestyle=style["linestyle"])
    axes.set(ylabel="Accuracy", xlim=(-0.01, 1.01), ylim=(-0.03, 1.03))
    if bins_after is not None:
        axes.legend(loc="upper left", **_LEGEND)
    counts.set(xlabel="Confidence (highest probability)", ylabel="Images")
    counts.yaxis.get_major_locator().set_params(integer=True)
    for panel in (axes, counts):
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color="0.92")
    return figure


def training_curves(history: pd.DataFrame, best_epoch: int | None = None) -> dict[str, Figure]:
    """Plots losses and metrics by epoch.

    Args:
        history: DataFrame with the column epoch, columns ending in "loss", and others; each but the learning
            rate and the input size becomes a curve.
        best_epoch: the epoch to mark; or None.

    Returns:
        dict of Figures, `losses` and `metrics`; one without a column is left out.
    """
    columns = [column for column in history.columns if column not in ("epoch", "input_size", "learning_rate")]
    panels = {
        "losses": [column for column in columns if column.endswith("loss")],
        "metrics": [column for column in columns if not column.endswith("loss")],
    }
    return {
        panel: _plot_epochs(history, members, best_epoch, "Loss" if panel == "losses" else "Score")
        for panel, members in panels.items()
        if members
    }


def colour_bar() -> Figure:
    """Plots the colours of Grad-CAM overlays, from 0 to 1."""
    figure, axes = new_figure(3.4, 0.62)
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=COLOUR_MAP, extent=(0, 1, 0, 1))
    axes.set(xticks=(0, 0.5, 1), xticklabels=("0: no evidence", "0.5", "1: most"), yticks=())
    axes.spines[:].set_visible(False)
    return figure


def outlines(image: np.ndarray, true_mask: np.ndarray, predicted_mask: np.ndarray) -> np.ndarray:
    """Draws the outlines of two masks over a radiograph.

    Args:
        image: uint8 `(H, W)`.
        true_mask: `(H, W)` of 0 and 1, drawn as a broad outline in `TRUE_COLOUR`.
        predicted_mask: `(H, W)` of 0 and 1, drawn over it as a thin outline in `PREDICTED_COLOUR`.

    Returns:
        uint8 RGB `(H, W, 3)`.
    """
    picture = np.repeat(image[..., None], 3, axis=-1)
    thin = max(1, round(max(image.shape) / 320))
    for mask, colour, thickness in (
        (true_mask, TRUE_COLOUR, 5 * thin),
        (predicted_mask, PREDICTED_COLOUR, 2 * thin),
    ):
        found, _ = cv2.findContours(np.array(mask, np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        picture = cv2.drawContours(picture, found, -1, colour, thickness)
    return picture


def svg_uri(figure: Figure) -> str:
    """Returns a Figure as a data URI of an SVG; equal figures have equal URIs."""
    stream = io.BytesIO()
    # Names of classes and layers are text, even with dollar signs.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with matplotlib.rc_context({"svg.hashsalt": "semenet", "text.parse_math": False}):
        # A tight bounding box grows with protruding labels, so that none is cut off.
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.05)
    # matplotlib repeats each text in a comment, and XML has no control characters.
    return data_uri(_CONTROL_CHARACTERS.sub(b"?", stream.getvalue()), "image/svg+xml")


def data_uri(content: bytes, media_type: str) -> str:
    """Returns bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Creates an empty Figure of this size in inches with one Axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def legend_label(text: str) -> str:
    """Returns a text as a curve's label. matplotlib leaves labels that begin with _ out of legends."""
    return f" {text}" if text.startswith("_") else text


def curve_style(index: int) -> dict[str, Any]:
    """Returns matplotlib's arguments for the line of one of several curves, by its number from 0."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.8,
    }


def _plot_epochs(history: pd.DataFrame, columns: Sequence[str], best_epoch: int | None, label: str) -> Figure:
    figure, axes = new_figure(_WIDTH, 0.8 * _WIDTH)
    marker = "o" if len(history) <= _DOTTED_EPOCHS else None
    for index, column in enumerate(columns):
        axes.plot(
            history["epoch"], history[column], label=column, marker=marker, markersize=3, **curve_style(index)
        )
    if best_epoch is not None:
        axes.axvline(best_epoch, color="0.6", linewidth=1, zorder=0, label=f"best: epoch {best_epoch}")
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="0.92")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure
