"""Whether a classifier's heat maps lie in the lungs and depend on what it has learnt, for the report."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semenet.evaluation.drawing.plots import COLOURS, new_figure
from semenet.evaluation.explanation.lung_zones import heat_by_class
from semenet.evaluation.explanation.randomization import randomization_check
from semenet.evaluation.measure.predictions import Predictions
from semenet.inference.heat_maps.overlays import cell_geometry
from semenet.inference.lung_masks import LungMasks
from semenet.training.run_folder.run import Run

# Enough for a distribution, and few in comparison with thousands of evaluated images.
MAX_LOCATED = 150
MAX_RANDOMIZED = 16


def analyse_heat_maps(
    run: Run,
    rows: pd.DataFrame,
    predictions: Predictions,
    lungs: LungMasks,
    batch_size: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Locates the heat maps of some images in the lungs and checks that they depend on the weights.

    Args:
        run: the run of the classifier.
        rows: DataFrame of the N evaluated rows.
        predictions: predictions and heat maps of these rows.
        lungs: source of the lung masks.
        batch_size: number of images at a time.
        seed: seed of the images drawn, as balanced over the predicted classes as possible.

    Returns:
        dict, ready for JSON: `method`, `images` (the number of located maps, of images with a lung mask),
        `masks` (their source), `classes` (of `heat_by_class`; None if no row has a lung mask), and `sanity`
        (of `randomization_check`).
    """
    predicted = predictions.predicted
    masked = np.flatnonzero(lungs.has_mask(rows))
    chosen = masked[draw_evenly(predicted[masked], MAX_LOCATED, seed)]
    located = None
    if len(chosen):
        masks = list(lungs.masks_as_seen(rows.iloc[chosen].reset_index(drop=True), run, batch_size))
        heats = predictions.heat_maps(chosen)
        located = heat_by_class(
            heats, masks, predicted[chosen], run.class_names, cell_geometry(run, predictions.layer)
        )
    few = draw_evenly(predicted, MAX_RANDOMIZED, seed)
    few_rows = rows.iloc[few].reset_index(drop=True)
    images = np.concatenate(list(lungs.network_inputs(few_rows, run, batch_size)))
    return {
        "method": predictions.method,
        "images": len(chosen),
        "masks": lungs.source if located else None,
        "classes": located,
        "sanity": randomization_check(
            run.model,
            images,
            predicted[few],
            method=predictions.method,
            layer=predictions.layer,
            seed=seed,
            batch_size=batch_size,
        ),
    }


def draw_evenly(index: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws images from each class in turn until there are enough.

    Args:
        index: int array `(N,)`, each image's class.
        count: number of images to draw.
        seed: seed of the random order.

    Returns:
        int array, sorted, of `count` positions in `index`, or of all.
    """
    order = np.random.default_rng(seed).permutation(len(index))
    # The rank of an image within its class, in random order: the first of each class come first.
    rank = np.zeros(len(index), int)
    for number in np.unique(index):
        of_class = index[order] == number
        rank[of_class] = np.arange(of_class.sum())
    return np.sort(order[np.argsort(rank, kind="stable")][:count])


def plot_heat_in_lungs(classes: dict[str, Any]) -> Figure:
    """Plots the share of the heat maps inside the lungs, by class, beside the lungs' share of the images.

    Args:
        classes: dict, as returned by `heat_by_class`.

    Returns:
        Figure: for each class a box from the 25th to the 75th percentile with the median, whiskers from the
        5th to the 95th, and a mark at the lungs' mean share of the images. A class without maps is left out.
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
