"""Draws the paper's training curves, ROC curves and confusion matrices over several seeds."""

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from semenet import metrics
from semenet.evaluation.drawing.plots import COLOURS, DASHES
from semenet.storage.atomic import replacing


@dataclasses.dataclass(frozen=True)
class Panel:
    """The rows that one panel compares.

    Attributes:
        title: str, with the paper's letter.
        rows: dict from the name in the paper to the name of the row in the tables.
    """

    title: str
    rows: dict


def _rows(table, **names):
    return {label.replace("_", "-"): f"{table}/{row}" for label, row in names.items()}


_VGG = _rows("table4", VGG19="vgg19", VGG19_GAP="vgg19_gap")
_RESNET = _rows(
    "table4",
    ResNet50="resnet50",
    ResNet50_GAP="resnet50_gap",
    SE_ResNet50="se_resnet50",
    SEME_ResNet50="seme_resnet50",
)
_DENSENET = _rows(
    "table4",
    DenseNet169="densenet169",
    DenseNet169_GAP="densenet169_gap",
    SE_DenseNet169="se_densenet169",
    SEME_DenseNet169="seme_densenet169",
)
_BASE = _rows("table4", VGG19="vgg19", ResNet50="resnet50", DenseNet169="densenet169")
_RESNET_2 = _rows("table5", MoEx_ResNet50="moex_resnet50", SEME_ResNet50="seme_resnet50")
_DENSENET_2 = _rows("table5", MoEx_DenseNet169="moex_densenet169", SEME_DenseNet169="seme_densenet169")
_BASE_2 = _rows("figure14", VGG19="vgg19", ResNet50="resnet50", DenseNet169="densenet169")
_UNET = {"U-Net": "figure15/unet"}

# The caption of the paper's figure 10 d names dataset 2, but its section and networks are of dataset 1.
CURVES = {
    "figure10": [
        Panel("(a) base networks, dataset 1", _BASE),
        Panel("(b) VGG19, dataset 1", _VGG),
        Panel("(c) ResNet50, dataset 1", _RESNET),
        Panel("(d) DenseNet169, dataset 1", _DENSENET),
    ],
    "figure14c": [Panel("(c) VGG19, raw images of dataset 2", _rows("figure14", VGG19="vgg19"))],
    "figure15a": [Panel("(a) U-Net", _UNET)],
    "figure16": [
        Panel("(a) ResNet50, dataset 2", _RESNET_2),
        Panel("(b) DenseNet169, dataset 2", _DENSENET_2),
    ],
}
ROC = {
    "figure12": [
        Panel("(a) VGG19, dataset 1", _VGG),
        Panel("(b) ResNet50, dataset 1", _RESNET),
        Panel("(c) DenseNet169, dataset 1", _DENSENET),
    ],
    "figure14a": [Panel("(a) raw images, dataset 2", _BASE_2)],
    "figure18": [
        Panel("(a) ResNet50, dataset 2", _RESNET_2),
        Panel("(b) DenseNet169, dataset 2", _DENSENET_2),
    ],
}
CONFUSION = {"figure13": _VGG | _RESNET | _DENSENET, "figure19": _RESNET_2 | _DENSENET_2}
_RATES = np.linspace(0, 1, 201)


def write_figures(out, results, note):
    """Writes each figure with at least one trained row, as .png and .pdf. Panels name the missing rows.

    Args:
        out: pathlib.Path of a folder.
        results: dict from row name to list of `seeded_runs.Result`.
        note: str below each figure: split, seeds, options.
    """
    for draw, figures in ((curves, CURVES), (roc, ROC), (confusion, CONFUSION)):
        for name, panels in figures.items():
            parts = [panels] if isinstance(panels, dict) else [panel.rows for panel in panels]
            files = [out / f"{name}{suffix}" for suffix in (".png", ".pdf")]
            if not any(row in results for part in parts for row in part.values()):
                # A figure of an earlier call would not match the present tables.
                for file in files:
                    file.unlink(missing_ok=True)
                continue
            figure = draw(panels, results)
            figure.supxlabel(note, fontsize="x-small", color="0.4")
            for file in files:
                with replacing(file) as temporary:
                    figure.savefig(temporary, dpi=150)


def curves(panels, results):
    """Draws the training loss and the validation metric by epoch: mean and one standard deviation over seeds.

    Args:
        panels: list of `Panel`, one for each row of the figure.
        results: dict from row name to list of `Result`.

    Returns:
        Figure.
    """
    figure = Figure(figsize=(9.6, 3.4 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 2, squeeze=False)
    for panel, pair in zip(panels, grid, strict=True):
        watched = "val_mean_iou" if panel.rows is _UNET else "val_accuracy"
        for axes, column in zip(pair, ("loss", watched), strict=True):
            for index, (label, row) in enumerate(panel.rows.items()):
                if row not in results:
                    axes.plot([], [], " ", label=f"{label}: not run")
                    continue
                epochs, mean, sd = mean_curve([result.history for result in results[row]], column)
                style = _style(index)
                marker = "o" if len(epochs) <= 20 else None
                axes.plot(epochs, mean, label=label, marker=marker, markersize=3, **style)
                axes.fill_between(epochs, mean - sd, mean + sd, color=style["color"], alpha=0.2, linewidth=0)
            axes.set(xlabel="Epoch", ylabel=column, title=panel.title)
            if any(row in results for row in panel.rows.values()):
                axes.xaxis.get_major_locator().set_params(integer=True)
            else:
                axes.set(xticks=(), yticks=())
            axes.legend(frameon=False, fontsize="small")
            axes.grid(color="0.92")
    return figure


def mean_curve(histories, column):
    """Returns the mean and sd of a column by epoch, over the seeds that reached that epoch.

    Args:
        histories: list of DataFrame with `epoch` and the column.
        column: str.

    Returns:
        arrays `(E,)`: epochs, mean, sd (n - 1; 0 for a single seed).
    """
    values = [history.set_index("epoch")[column] for history in histories]
    by_epoch = (
        values[0]
        .to_frame(0)
        .join([value.rename(str(at)) for at, value in enumerate(values[1:])], how="outer")
    )
    return (
        by_epoch.index.to_numpy(),
        by_epoch.mean(axis=1).to_numpy(),
        by_epoch.std(axis=1).fillna(0).to_numpy(),
    )


def roc(panels, results):
    """Draws macro-averaged one-vs-rest ROC curves: mean and one standard deviation over seeds.

    Args:
        panels: list of `Panel`.
        results: dict from row name to list of `Result`.

    Returns:
        Figure.
    """
    figure = Figure(figsize=(4.4 * len(panels), 4.4), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
        for index, (label, row) in enumerate(panel.rows.items()):
            if row not in results:
                axes.plot([], [], " ", label=f"{label}: not run")
                continue
            found = np.array([macro_roc(result.predictions) for result in results[row]])
            mean, sd = found.mean(axis=0), found.std(axis=0, ddof=1) if len(found) > 1 else 0
            areas = [result.figures["macro_auroc"] for result in results[row]]
            area = "undefined" if None in areas else f"{np.mean(areas):.3f}"
            style = _style(index)
            axes.plot(_RATES, mean, label=f"{label}: {area}", **style)
            axes.fill_between(_RATES, mean - sd, mean + sd, color=style["color"], alpha=0.2, linewidth=0)
        axes.set(
            xlabel="False positive rate",
            ylabel="True positive rate",
            title=panel.title,
            aspect="equal",
            ylim=(-0.01, 1.01),
        )
        axes.legend(loc="lower right", title="macro AUROC", frameon=False, fontsize="small")
    return figure


def macro_roc(predictions):
    """Returns the mean over the classes of the one-vs-rest true positive rate, at 201 false positive rates.

    Args:
        predictions: DataFrame with `label` and one column of probabilities for each class.

    Returns:
        array `(201,)`; NaN if no class has both positive and negative images.
    """
    rates = []
    for name in class_names(predictions):
        is_true = (predictions["label"] == name).to_numpy()
        if is_true.any() and not is_true.all():
            false_positive, true_positive = metrics.roc_curve(is_true, predictions[name].to_numpy())
            # The ROC curve is a step function: take the highest true positive rate at each position.
            at = np.searchsorted(false_positive, _RATES + 1e-9, side="right") - 1
            rates.append(true_positive[at])
    return np.mean(rates, axis=0) if rates else np.full(len(_RATES), np.nan)


def confusion(rows, results):
    """Draws confusion matrices: mean counts over seeds, and their share of the true class.

    Args:
        rows: dict from the name in the paper to the row name.
        results: dict from row name to list of `Result`.

    Returns:
        Figure. A network that was not trained has an empty panel with a note.
    """
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(3.3 * columns, 3.4 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (label, row) in zip(grid, rows.items(), strict=False):
        axes.set_title(label)
        if row not in results:
            axes.text(0.5, 0.5, "not run", ha="center", va="center", transform=axes.transAxes)
            axes.set(xticks=(), yticks=())
            continue
        names = class_names(results[row][0].predictions)
        counts = np.mean([count_pairs(result.predictions, names) for result in results[row]], axis=0)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for true, predicted in np.ndindex(counts.shape):
            text = f"{counts[true, predicted]:.4g}\n{shares[true, predicted]:.0%}"
            colour = "white" if shares[true, predicted] > 0.55 else "black"
            axes.text(predicted, true, text, ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="Predicted", ylabel="True")
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    return figure


def count_pairs(predictions, names):
    """Returns the confusion matrix, int `(K, K)`: rows are true classes, columns predicted ones."""
    true, predicted = (predictions[column].map(names.index) for column in ("label", "predicted"))
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (true, predicted), 1)
    return counts


def class_names(predictions):
    """Returns the classes of a predictions.csv, in the order of the network's outputs."""
    return list(predictions.columns[list(predictions.columns).index("predicted") + 1 :])


def _style(index):
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.6,
    }
