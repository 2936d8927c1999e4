"""DeLong's test: whether two scores of the same images have the same area under the ROC curve."""

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from semenet.errors import SemenetError

# A variance of 0 comes out below this because of rounding; that of areas over a million images is above it.
_NO_VARIANCE = 1e-24


class TooFewImagesError(SemenetError):
    """A class, or all other classes together, has too few images or patients for a test.

    Example:
        >>> from semenet.metrics import TooFewImagesError, delong
        >>> score = np.array([0.2, 0.9])
        >>> try:
        ...     delong(np.array([False, True]), score, score)
        ... except TooFewImagesError:
        ...     print("Use a larger split.")
        Use a larger split.
    """


def delong(is_true: np.ndarray, first: np.ndarray, second: np.ndarray, level: float = 0.95) -> dict[str, Any]:
    """Tests whether two scores of the same images have the same area under the ROC curve.

    The test assumes independent images. For several images of one patient use `clustered_delong`. Standard
    error and p-value rely on the normal approximation, which needs about ten images or more of either value,
    and areas that are not close to 1.

    Args:
        is_true: bool array `(N,)`, with at least two of either value.
        first: float array `(N,)`, higher for a positive prediction; equal scores count half.
        second: the same for the other network.
        level: confidence level of the interval, in (0, 1).

    Returns:
        dict, ready for JSON: `areas` of first and second; their 2 x 2 `covariance`; `difference`, second
        minus first; its `standard_error`, `interval` `[low, high]` and two-sided `p_value`. If the
        standard error is 0 (equal rankings, or areas of 0 and 1), the interval is None, and the p-value is 1
        for a difference of 0, otherwise None.

    Raises:
        TooFewImagesError: fewer than two images of either value.
        SemenetError: shapes that differ, scores that are not finite, or a `level` outside (0, 1).

    Reference:
        DeLong et al. 1988; Sun & Xu 2014 (by midranks, in N log N steps).

    Example:
        >>> is_true = np.array([False, False, False, True, True, True])
        >>> first = np.array([0.2, 0.6, 0.4, 0.5, 0.3, 0.9])
        >>> second = np.array([0.1, 0.2, 0.6, 0.5, 0.7, 0.9])
        >>> result = semenet.metrics.delong(is_true, first, second)
        >>> [round(area, 3) for area in result["areas"]], round(result["p_value"], 3)
        ([0.667, 0.889], 0.48)
    """
    is_true, scores = _checked(is_true, first, second)
    _check_enough(is_true.sum(), (~is_true).sum(), "images")
    areas, true_parts, other_parts = _components(is_true, scores)
    contrasts = [_with_difference(parts) for parts in (true_parts, other_parts)]
    covariance = sum(np.cov(parts) / parts.shape[1] for parts in contrasts)
    return _test(areas, covariance, level)


def clustered_delong(
    is_true: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    patients: ArrayLike,
    level: float = 0.95,
) -> dict[str, Any]:
    """Runs `delong` for data in which a patient may have several images.

    The components of a patient's images are summed before their variance is computed. If each patient has
    one image, the result is that of `delong`. The test needs some tens of patients.

    Args:
        is_true: bool array `(N,)`; two or more patients must have images of either value.
        first: float array `(N,)`, as for `delong`.
        second: float array `(N,)`, as for `delong`.
        patients: N values, the patient of each image.
        level: confidence level of the interval, in (0, 1).

    Returns:
        dict, as for `delong`.

    Raises:
        TooFewImagesError: fewer than two patients with images of either value.
        SemenetError: as `delong`, or the number of patients differs from the number of images.

    Reference:
        Obuchowski 1997.

    Example:
        >>> is_true = np.array([False, False, False, True, True, True])
        >>> first = np.array([0.2, 0.6, 0.4, 0.5, 0.3, 0.9])
        >>> second = np.array([0.1, 0.2, 0.6, 0.5, 0.7, 0.9])
        >>> result = semenet.metrics.clustered_delong(is_true, first, second, list("aabccd"))
        >>> round(result["difference"], 3), round(result["p_value"], 3)
        (0.222, 0.289)
    """
    is_true, scores = _checked(is_true, first, second)
    numbers, known = pd.factorize(np.asarray(patients, dtype=object), use_na_sentinel=False)
    if len(numbers) != len(is_true):
        raise SemenetError(
            "There must be one patient per image. "
            f"Received: {len(numbers)} for {len(is_true)} images. Take both from the same rows."
        )
    count = len(known)
    in_true, in_other = len(np.unique(numbers[is_true])), len(np.unique(numbers[~is_true]))
    _check_enough(in_true, in_other, "patients with images")
    areas, true_parts, other_parts = _components(is_true, scores)
    # Deviations from the areas; they are 0 for a patient without such images.
    of_true, of_other = (
        np.stack([np.bincount(numbers[is_used], row, minlength=count) for row in _with_difference(parts)])
        for is_used, parts in (
            (is_true, true_parts - areas[:, None]),
            (~is_true, other_parts - areas[:, None]),
        )
    )
    trues, others = is_true.sum(), (~is_true).sum()
    both = count / (count - 1) * of_true @ of_other.T / (trues * others)
    covariance = (
        in_true / (in_true - 1) * of_true @ of_true.T / trues**2
        + in_other / (in_other - 1) * of_other @ of_other.T / others**2
        + both
        + both.T
    )
    return _test(areas, covariance, level)


def _checked(is_true: np.ndarray, *scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    is_true = np.asarray(is_true)
    arrays = [np.asarray(score, dtype=np.float64) for score in scores]
    if is_true.ndim != 1 or is_true.dtype != bool or any(array.shape != is_true.shape for array in arrays):
        raise SemenetError(
            "The truth must be an array (N,) of bool, and each score an array of N numbers. "
            f"Received: {is_true.dtype} of shape {is_true.shape}, and scores of shapes "
            f"{', '.join(str(array.shape) for array in arrays)}. Give one column of each network."
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise SemenetError(
            "Scores must be finite. Received: NaN or infinite values among "
            f"{len(is_true)}. NaN are the result of a training that diverged."
        )
    return is_true, np.stack(arrays)


def _check_enough(trues: int, others: int, what: str) -> None:
    if min(trues, others) < 2:
        raise TooFewImagesError(
            f"DeLong's test needs two or more {what} of the class, and of the other classes. "
            f"Received: {trues} and {others}. Use a larger split."
        )


def _components(is_true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the areas, and for each image the share of images of the other value ranked correctly to it.

    Returns:
        float64 arrays `(2,)`, `(2, true)` and `(2, other)`.
    """
    true_parts = np.stack([_share_below(np.sort(score[~is_true]), score[is_true]) for score in scores])
    other_parts = np.stack([1 - _share_below(np.sort(score[is_true]), score[~is_true]) for score in scores])
    return true_parts.mean(axis=1), true_parts, other_parts


def _share_below(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the share of `ascending` below each value; equal values count half."""
    below, at_most = (np.searchsorted(ascending, values, side=side) for side in ("left", "right"))
    return (below + at_most) / (2 * len(ascending))


def _with_difference(parts: np.ndarray) -> np.ndarray:
    """Appends a third row, second minus first, so that its variance is computed without cancellation."""
    return np.concatenate([parts, parts[1:] - parts[:1]])


def _test(areas: np.ndarray, covariance: np.ndarray, level: float) -> dict[str, Any]:
    if not 0 < level < 1:
        raise SemenetError(
            f"The level of an interval must be between 0 and 1. Received: {level}. 0.95 is usual."
        )
    difference = float(areas[1] - areas[0])
    variance = float(covariance[2, 2])
    result = {
        "areas": areas.tolist(),
        "covariance": covariance[:2, :2].tolist(),
        "difference": difference,
        "standard_error": 0.0,
        "interval": None,
        "p_value": 1.0 if abs(difference) < 1e-12 else None,
    }
    if variance > _NO_VARIANCE:
        error = math.sqrt(variance)
        margin = error * statistics.NormalDist().inv_cdf((1 + level) / 2)
        result["standard_error"] = error
        result["interval"] = [difference - margin, difference + margin]
        result["p_value"] = math.erfc(abs(difference) / error / math.sqrt(2))
    return result
