"""Figures of a segmentation, from arrays."""

import numpy as np

from semenet.data.transforms.mask_threshold import MASK_PROBABILITY
from semenet.metrics.probabilities import check_probabilities
from semenet.metrics.surface_distance import check_binary, check_shapes, hausdorff95


def segmentation(true_masks, probabilities, threshold=MASK_PROBABILITY):
    """Figures of a segmentation: means over the images of `overlap`'s.

    Args:
        true_masks: array `(N, H, W)` or `(N, H, W, 1)` of 0 and 1.
        probabilities: float array of the same shape, in [0, 1].
        threshold: float; a pixel of this probability or more is predicted to be inside.

    Returns:
        dict, ready for JSON: floats `dice`, `iou`, `mean_iou`, int `count` (N).

    Raises:
        ValueError: for no images, shapes that differ, masks of other values than 0 and 1, or a
            probability that is NaN or outside [0, 1].
    """
    return mean_overlap(overlap(true_masks, probabilities, threshold))


def overlap(true_masks, probabilities, threshold=MASK_PROBABILITY, surface=False):
    """How far each image's predicted mask and the true one overlap, and how far apart they end.

    Two empty masks agree: their Dice and IoU are 1.

    Args:
        true_masks: array `(N, H, W)` or `(N, H, W, 1)` of 0 and 1.
        probabilities: float array of the same shape, in [0, 1].
        threshold: float; a pixel of this probability or more is predicted to be inside.
        surface: bool, whether to measure `hausdorff95` too, which takes longer than all the others.

    Returns:
        dict of float64 arrays `(N,)`: `dice`, 2 |A and B| / (|A| + |B|); `iou`, |A and B| / |A or
        B|; `mean_iou`, the mean of that of the inside and that of the outside; with `surface`
        `hausdorff95`, in pixels of the masks, NaN where exactly one of the two is empty (see
        `semenet.metrics.surface_distance.hausdorff95`).

    Raises:
        ValueError: as `segmentation`.
    """
    true_masks, probabilities = np.asarray(true_masks), np.asarray(probabilities)
    check_shapes(true_masks, probabilities, "Masks and probabilities")
    check_binary(true_masks)
    check_probabilities(probabilities)
    inside, predicted = true_masks.astype(bool), probabilities >= threshold
    iou = _iou(inside, predicted)
    # Dice and IoU are functions of each other, which also settles the case of two empty masks.
    scores = {
        "dice": 2 * iou / (1 + iou),
        "iou": iou,
        "mean_iou": (iou + _iou(~inside, ~predicted)) / 2,
    }
    return scores | {"hausdorff95": hausdorff95(inside, predicted)} if surface else scores


def mean_overlap(scores):
    """Means over the images of what `overlap` returns.

    Args:
        scores: dict of float arrays `(N,)`, as `overlap` returns it.

    Returns:
        dict, ready for JSON: the floats of the same names, int `count` (N), and where there is a
        `hausdorff95` int `hausdorff95_undefined`, the images without one, of which the mean knows
        nothing; it is None where no image has one.
    """
    means = {name: float(np.mean(values)) for name, values in scores.items()} | {"count": len(scores["dice"])}
    if "hausdorff95" in scores:
        values = np.asarray(scores["hausdorff95"])
        defined = values[~np.isnan(values)]
        means["hausdorff95"] = float(defined.mean()) if defined.size else None
        means["hausdorff95_undefined"] = len(values) - len(defined)
    return means


def _iou(a, b):
    pixels = tuple(range(1, a.ndim))
    union = np.count_nonzero(a | b, axis=pixels)
    both = np.count_nonzero(a & b, axis=pixels)
    return np.where(union, both / np.maximum(union, 1), 1.0)
