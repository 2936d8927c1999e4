"""Metrics of a segmentation, computed from arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from semenet.data.transforms.mask_threshold import MASK_PROBABILITY
from semenet.metrics.probabilities import check_probabilities
from semenet.metrics.surface_distance import check_binary, check_shapes, hausdorff95


def segmentation(
    true_masks: np.ndarray, probabilities: np.ndarray, threshold: float = MASK_PROBABILITY
) -> dict[str, Any]:
    """Computes the metrics of a segmentation: the means of `overlap` over the images.

    Args:
        true_masks: array `(N, H, W)` or `(N, H, W, 1)` of 0 and 1.
        probabilities: float array of the same shape, in [0, 1].
        threshold: pixels of at least this probability are predicted to be inside.

    Returns:
        dict, ready for JSON: floats `dice`, `iou`, `mean_iou`, int `count` (N).

    Raises:
        SemenetError: for no images, shapes that differ, masks with values other than 0 and 1, or a
            probability that is NaN or outside [0, 1].

    Example:
        >>> true_masks = np.array([[[0, 1], [0, 1]]])
        >>> probabilities = np.array([[[0.1, 0.9], [0.6, 0.8]]])
        >>> result = semenet.metrics.segmentation(true_masks, probabilities)
        >>> round(result["dice"], 3), round(result["iou"], 3), result["count"]
        (0.8, 0.667, 1)
    """
    return mean_overlap(overlap(true_masks, probabilities, threshold))


def overlap(
    true_masks: np.ndarray,
    probabilities: np.ndarray,
    threshold: float = MASK_PROBABILITY,
    surface: bool = False,
) -> dict[str, np.ndarray]:
    """Computes the overlap of the predicted and the true mask of each image.

    Two empty masks agree: their Dice and IoU are 1.

    Args:
        true_masks: array `(N, H, W)` or `(N, H, W, 1)` of 0 and 1.
        probabilities: float array of the same shape, in [0, 1].
        threshold: pixels of at least this probability are predicted to be inside.
        surface: whether to compute `hausdorff95` too, which takes longer than all other metrics.

    Returns:
        dict of float64 arrays `(N,)`: `dice`, 2 |A and B| / (|A| + |B|); `iou`, |A and B| / |A or
        B|; `mean_iou`, the mean of the IoU of the inside and that of the outside; with `surface`
        `hausdorff95`, in pixels of the masks, NaN where exactly one of the two is empty (see
        `semenet.metrics.surface_distance.hausdorff95`).

    Raises:
        SemenetError: as `segmentation`.

    Example:
        >>> masks = np.array([[[0, 1], [0, 1]], [[0, 0], [0, 0]]])
        >>> semenet.metrics.overlap(masks, masks.astype(float))["dice"]
        array([1., 1.])
    """
    true_masks, probabilities = np.asarray(true_masks), np.asarray(probabilities)
    check_shapes(true_masks, probabilities, "Masks and probabilities")
    check_binary(true_masks)
    check_probabilities(probabilities)
    inside, predicted = true_masks.astype(bool), probabilities >= threshold
    iou = _iou(inside, predicted)
    # Dice is a function of IoU, which also covers the case of two empty masks.
    scores = {
        "dice": 2 * iou / (1 + iou),
        "iou": iou,
        "mean_iou": (iou + _iou(~inside, ~predicted)) / 2,
    }
    return scores | {"hausdorff95": hausdorff95(inside, predicted)} if surface else scores


def mean_overlap(scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Computes the means over the images of the scores that `overlap` returns.

    Args:
        scores: dict of float arrays `(N,)`.

    Returns:
        dict, ready for JSON: floats with the same keys, int `count` (N), and, if there is a `hausdorff95`,
        int `hausdorff95_undefined`, the number of images without one. These are left out of the mean, which
        is None if no image has a `hausdorff95`.

    Example:
        >>> masks = np.array([[[0, 1], [0, 1]]])
        >>> semenet.metrics.mean_overlap(semenet.metrics.overlap(masks, masks.astype(float), surface=True))
        {'dice': 1.0, 'iou': 1.0, 'mean_iou': 1.0, 'hausdorff95': 0.0, 'count': 1, 'hausdorff95_undefined': 0}
    """
    means = {name: float(np.mean(values)) for name, values in scores.items()} | {"count": len(scores["dice"])}
    if "hausdorff95" in scores:
        values = np.asarray(scores["hausdorff95"])
        defined = values[~np.isnan(values)]
        means["hausdorff95"] = float(defined.mean()) if defined.size else None
        means["hausdorff95_undefined"] = len(values) - len(defined)
    return means


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    pixels = tuple(range(1, a.ndim))
    union = np.count_nonzero(a | b, axis=pixels)
    both = np.count_nonzero(a & b, axis=pixels)
    return np.where(union, both / np.maximum(union, 1), 1.0)
