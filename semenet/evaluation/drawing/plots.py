"""Figures of the report: matplotlib's object interface, without pyplot's global state."""

import base64
import io

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from semenet import metrics
from semenet.evaluation.drawing.pages import percent
from semenet.inference.heat_map_overlays import COLOUR_MAP

# Okabe and Ito's colours, which colour-blind readers can tell apart; the dashes serve print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
TRUE_COLOUR, PREDICTED_COLOUR = (86, 180, 233), (230, 159, 0)

# Inches. On a phone and in print a figure is some 3.5 wide: drawn much wider, its letters would shrink.
_WIDTH = 4.0
# A legend hides what it covers, for letters over curves are hard to read.
_LEGEND = {"framealpha": 0.9, "edgecolor": "none"}

# Up to this many epochs a curve gets a dot for each: a line of one point would not show.
_DOTTED_EPOCHS = 20


def roc_curves(true_index, probabilities, class_names):
    """One-vs-rest ROC curves.

    Args:
        true_index: int array `(N,)`.
        probabilities: float array `(N, K)`.
        class_names: K str.

    Returns:
        Figure; a class that no image, or every image, is of has no curve, and the legend says so.
    """
    figure, axes = new_figure(_WIDTH, 0.96 * _WIDTH)
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
    figures = metrics.classification(true_index, probabilities, class_names)["per_class"]
    for index, (name, of_class) in enumerate(figures.items()):
        if of_class["auroc"] is None:
            axes.plot([], [], " ", label=f"{name}: undefined")
            continue
        x, y = metrics.roc_curve(np.asarray(true_index) == index, probabilities[:, index])
        axes.plot(x, y, label=f"{name}: {of_class['auroc']:.3f}", **_style(index))
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


def precision_recall_curves(true_index, probabilities, class_names):
    """One-vs-rest precision-recall curves, with each class's share of the images, which chance would give.

    Args:
        true_index: int array `(N,)`.
        probabilities: float array `(N, K)`.
        class_names: K str.

    Returns:
        Figure; a class that no image, or every image, is of has no curve, and the legend says so.
    """
    figure, axes = new_figure(_WIDTH, 0.96 * _WIDTH)
    figures = metrics.classification(true_index, probabilities, class_names)["per_class"]
    for index, (name, of_class) in enumerate(figures.items()):
        if of_class["average_precision"] is None:
            axes.plot([], [], " ", label=f"{name}: undefined")
            continue
        is_true = np.asarray(true_index) == index
        recall, precision = metrics.precision_recall_curve(is_true, probabilities[:, index])
        style = _style(index)
        axes.axhline(is_true.mean(), color=style["color"], linewidth=0.8, alpha=0.5, zorder=0)
        label = f"{name}: {of_class['average_precision']:.3f}"
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


def confusion(matrix, class_names):
    """Confusion matrix with counts and each row's shares.

    Args:
        matrix: int `(K, K)`, a row a true class.
        class_names: K str.

    Returns:
        Figure.
    """
    matrix = np.asarray(matrix)
    classes = len(class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(_WIDTH - 0.6, 0.8 * classes + 1.2)
    figure, axes = new_figure(side + 0.6, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(classes, classes):
        # From here on white stands out more than black from the blue.
        colour = "white" if shares[row, column] > 0.71 else "black"
        text = f"{matrix[row, column]}\n{percent(shares[row, column])}"
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


def reliability_diagram(bins_before, bins_after=None):
    """Accuracy against confidence, and below how many images have which confidence.

    On the diagonal a confidence holds what it says; below it the network is too sure. A dot is larger
    where it stands for more images.

    Args:
        bins_before: dict, of `semenet.metrics.reliability`, before calibration.
        bins_after: the same after it, in the same bins; or None.

    Returns:
        Figure of two axes.
    """
    figure = Figure(figsize=(_WIDTH, 1.2 * _WIDTH), layout="constrained")
    axes, counts = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
    named = {"before calibration": bins_before, "after calibration": bins_after}
    for index, (name, bins) in enumerate(named.items()):
        if bins is None:
            continue
        filled = bins["count"] > 0
        style = _style(index)
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


def training_curves(history, best_epoch=None):
    """Loss and figures by epoch.

    Args:
        history: DataFrame with the columns epoch, those that end in "loss", and others; each becomes a
            curve but the learning rate.
        best_epoch: int, marked; or None.

    Returns:
        dict of Figures, `losses` and `figures`; one without a column is left out.
    """
    columns = [column for column in history.columns if column not in ("epoch", "learning_rate")]
    panels = {
        "losses": [column for column in columns if column.endswith("loss")],
        "figures": [column for column in columns if not column.endswith("loss")],
    }
    return {
        panel: _epochs(history, members, best_epoch, "Loss" if panel == "losses" else "Score")
        for panel, members in panels.items()
        if members
    }


def colour_bar():
    """The colours of Grad-CAM overlays, from 0 to 1, as a Figure."""
    figure, axes = new_figure(3.4, 0.62)
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=COLOUR_MAP, extent=(0, 1, 0, 1))
    axes.set(xticks=(0, 0.5, 1), xticklabels=("0: nothing for it", "0.5", "1: most"), yticks=())
    axes.spines[:].set_visible(False)
    return figure


def outlines(image, true_mask, predicted_mask):
    """Draws the outlines of two masks over a radiograph.

    Args:
        image: uint8 `(H, W)`.
        true_mask: `(H, W)` of 0 and 1, with a broad outline in `TRUE_COLOUR`.
        predicted_mask: `(H, W)` of 0 and 1, with a thin one in `PREDICTED_COLOUR` over it.

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


def svg_uri(figure):
    """A Figure as a data URI that holds an SVG; the same figure gives the same text."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "semenet"}):
        # Tight: the picture grows by what stands out of it, so that no label is cut off.
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.05)
    return data_uri(stream.getvalue(), "image/svg+xml")


def data_uri(content, media_type):
    """Bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def new_figure(width, height):
    """An empty Figure of so many inches with one Axes: `(figure, axes)`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(index):
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.8,
    }


def _epochs(history, columns, best_epoch, label):
    figure, axes = new_figure(_WIDTH, 0.8 * _WIDTH)
    marker = "o" if len(history) <= _DOTTED_EPOCHS else None
    for index, column in enumerate(columns):
        axes.plot(
            history["epoch"], history[column], label=column, marker=marker, markersize=3, **_style(index)
        )
    if best_epoch is not None:
        axes.axvline(best_epoch, color="0.6", linewidth=1, zorder=0, label=f"best: epoch {best_epoch}")
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="0.92")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure
