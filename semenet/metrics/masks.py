"""Figures of a segmentation, from arrays."""

import numpy as np

from semenet.errors import SemenetError
from semenet.metrics.probabilities import check_probabilities


def segmentation(true_masks, probabilities, threshold=0.5):
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


def overlap(true_masks, probabilities, threshold=0.5):
    """How far each image's predicted mask and the true one overlap.

    Two empty masks agree: their Dice and IoU are 1.

    Args:
        true_masks: array `(N, H, W)` or `(N, H, W, 1)` of 0 and 1.
        probabilities: float array of the same shape, in [0, 1].
        threshold: float; a pixel of this probability or more is predicted to be inside.

    Returns:
        dict of float64 arrays `(N,)`: `dice`, 2 |A and B| / (|A| + |B|); `iou`, |A and B| / |A or
        B|; `mean_iou`, the mean of that of the inside and that of the outside.

    Raises:
        ValueError: as `segmentation`.
    """
    true_masks, probabilities = np.asarray(true_masks), np.asarray(probabilities)
    shape = true_masks.shape
    if shape != probabilities.shape or not true_masks.size or shape[3:] not in ((), (1,)) or len(shape) < 3:
        raise SemenetError(
            "Masks and probabilities must be arrays of one shape (N, H, W) or (N, H, W, 1), one image or "
            f"more. Received: shapes {shape} and {probabilities.shape}. "
            "Resize the masks to the network's output."
        )
    if not np.isin(true_masks, (0, 1)).all():
        raise SemenetError(
            "A mask must hold 0 outside and 1 inside. "
            f"Received: values from {true_masks.min()} to {true_masks.max()}. Threshold it first."
        )
    check_probabilities(probabilities)
    inside, predicted = true_masks.astype(bool), probabilities >= threshold
    iou = _iou(inside, predicted)
    # Dice and IoU are functions of each other, which also settles the case of two empty masks.
    return {
        "dice": 2 * iou / (1 + iou),
        "iou": iou,
        "mean_iou": (iou + _iou(~inside, ~predicted)) / 2,
    }


def mean_overlap(scores):
    """Means over the images of the arrays that `overlap` returns, and `count`."""
    count = len(scores["dice"])
    return {name: float(np.mean(values)) for name, values in scores.items()} | {"count": count}


def _iou(a, b):
    pixels = tuple(range(1, a.ndim))
    union = np.count_nonzero(a | b, axis=pixels)
    both = np.count_nonzero(a & b, axis=pixels)
    return np.where(union, both / np.maximum(union, 1), 1.0)
