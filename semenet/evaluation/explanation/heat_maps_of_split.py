"""Where a classifier looks, and whether its heat maps depend on what it has learnt, for the report."""

import numpy as np

from semenet.evaluation.drawing.plots import COLOURS, new_figure
from semenet.evaluation.explanation.lung_zones import where_it_looks
from semenet.evaluation.explanation.randomization import randomization_check
from semenet.inference.heat_map_overlays import cell_geometry

# Enough for a distribution, and few beside thousands that are measured.
MOST_LOOKED_AT = 150
MOST_RANDOMIZED = 16


def look(run, rows, predictions, lungs, batch_size, seed=0):
    """Maps where the network looks on some of the images, and checks that the maps depend on its weights.

    Args:
        run: `semenet.training.run_folder.run.Run` of the classifier.
        rows: DataFrame of the N rows measured.
        predictions: `semenet.evaluation.measure.predictions.Predictions` of these rows, whose maps are
        looked at.
        lungs: `semenet.inference.lung_masks.LungMasks`.
        batch_size: int.
        seed: int, of the images drawn, as many of each class predicted as can be.

    Returns:
        dict, ready for JSON: `method`, `images` (how many were looked at, of those with a lung mask), `masks`
        (where they come from), `classes` (of `where_it_looks`; None where no row has a lung mask), and
        `sanity` (of `randomization_check`).
    """
    predicted = predictions.predicted
    masked = np.flatnonzero(lungs.has_mask(rows))
    chosen = masked[drawn_evenly(predicted[masked], MOST_LOOKED_AT, seed)]
    located = None
    if len(chosen):
        masks = list(lungs.masks(rows.iloc[chosen], run.input_size, batch_size))
        heats = predictions.heat_maps(chosen)
        located = where_it_looks(heats, masks, predicted[chosen], run.class_names, cell_geometry(run))
    few = drawn_evenly(predicted, MOST_RANDOMIZED, seed)
    images = np.concatenate(
        list(lungs.network_inputs(rows.iloc[few].reset_index(drop=True), run, batch_size))
    )
    return {
        "method": predictions.method,
        "images": len(chosen),
        "masks": lungs.source if located else None,
        "classes": located,
        "sanity": randomization_check(
            run.model, images, predicted[few], method=predictions.method, seed=seed, batch_size=batch_size
        ),
    }


def drawn_evenly(index, most, seed):
    """Draws images of each class in turn until there are enough.

    Args:
        index: int array `(N,)`, each image's class.
        most: int.
        seed: int.

    Returns:
        int array, sorted, of `most` places in `index`, or of all.
    """
    order = np.random.default_rng(seed).permutation(len(index))
    # The how-manieth of its class an image is, in the order drawn: the first of each class come first.
    turn = np.zeros(len(index), int)
    for number in np.unique(index):
        of_class = index[order] == number
        turn[of_class] = np.arange(of_class.sum())
    return np.sort(order[np.argsort(turn, kind="stable")][:most])


def in_lung_plot(classes):
    """The share of the heat maps that lies in the lungs, by class, beside the lungs' share of the images.

    Args:
        classes: dict of `where_it_looks`.

    Returns:
        Figure: of each class a box from the 25th to the 75th percentile with the median, whiskers from the
        5th to the 95th, and a mark at the mean share of the images that is lung. A class without maps has
        none.
    """
    figure, axes = new_figure(4.8, 0.7 * len(classes) + 1.4)
    boxes = [
        {
            "label": name,
            "med": found["in_lung"]["p50"],
            "q1": found["in_lung"]["p25"],
            "q3": found["in_lung"]["p75"],
            "whislo": found["in_lung"]["p5"],
            "whishi": found["in_lung"]["p95"],
        }
        for name, found in classes.items()
        if found["count"]
    ]
    areas = [found["lung_area"]["mean"] for found in classes.values() if found["count"]]
    style = {"color": COLOURS[0], "linewidth": 1.6}
    axes.bxp(
        boxes,
        orientation="horizontal",
        showfliers=False,
        boxprops=style,
        whiskerprops=style,
        capprops=style,
        medianprops={"color": COLOURS[1], "linewidth": 2.4},
    )
    axes.plot(areas, range(1, len(areas) + 1), "D", color="0.35", label="lungs' share of the image, mean")
    axes.set(xlabel="Share of the heat map inside the lungs", xlim=(-0.01, 1.01))
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.92")
    figure.legend(loc="outside lower center", frameon=False, fontsize="small")
    return figure
