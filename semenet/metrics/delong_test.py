"""DeLong's test: whether two scores of the same images have the same area under the ROC curve."""

import math
import statistics

import numpy as np
import pandas as pd

from semenet.errors import SemenetError

# Rounding leaves less of a variance that is 0; that of areas of a million images is more.
_NO_VARIANCE = 1e-24


class TooFewImagesError(SemenetError):
    """A class, or what is not of it, has too few images or patients for a test."""


def delong(is_true, first, second, level=0.95):
    """DeLong's test of whether two scores of the same images have the same area under the ROC curve.

    It holds the images to be independent, which images of one patient are not: for those,
    `clustered_delong`. Standard error and p-value rest on the normal distribution, which wants some ten
    images or more on either side, and areas away from 1.

    Args:
        is_true: bool array `(N,)`, with two or more of both values.
        first: float array `(N,)`, higher where it is rather true; equal ones count half.
        second: the same, of the other network.
        level: float in (0, 1), of the interval.

    Returns:
        dict, ready for JSON: `areas` of first and second; their 2 x 2 `covariance`; `difference`, second
        minus first; its `standard_error`, `interval` `[low, high]` and two-sided `p_value`. Where the
        standard error is 0 (equal rankings, or areas of 0 and 1) the interval is None, and the p-value is 1
        if the difference is 0, otherwise None.

    Raises:
        TooFewImagesError: fewer than two images with either value.
        ValueError: arrays of other shapes, scores that are not finite, or a `level` outside (0, 1).

    Reference:
        DeLong et al. 1988; Sun & Xu 2014 (by midranks, in N log N steps).
    """
    is_true, scores = _checked(is_true, first, second)
    _check_enough(is_true.sum(), (~is_true).sum(), "images")
    areas, true_parts, other_parts = _components(is_true, scores)
    contrasts = [_with_difference(parts) for parts in (true_parts, other_parts)]
    covariance = sum(np.cov(parts) / parts.shape[1] for parts in contrasts)
    return _test(areas, covariance, level)


def clustered_delong(is_true, first, second, patients, level=0.95):
    """`delong` for images of which several may be of one patient.

    Components of a patient's images are added up before their variance is taken. Where each patient has one
    image, it is `delong`. It wants some tens of patients.

    Args:
        is_true: bool array `(N,)`, with both values in two patients or more.
        first: float array `(N,)`, as for `delong`.
        second: float array `(N,)`, as for `delong`.
        patients: N values, each image's patient.
        level: float in (0, 1), of the interval.

    Returns:
        dict, as for `delong`.

    Raises:
        TooFewImagesError: fewer than two patients with images of either value.
        ValueError: as for `delong`, or patients of another number than images.

    Reference:
        Obuchowski 1997.
    """
    is_true, scores = _checked(is_true, first, second)
    numbers, known = pd.factorize(np.asarray(patients, dtype=object), use_na_sentinel=False)
    if len(numbers) != len(is_true):
        raise SemenetError(
            "There must be one patient for each image. "
            f"Received: {len(numbers)} for {len(is_true)} images. Take both from the same rows."
        )
    count = len(known)
    in_true, in_other = len(np.unique(numbers[is_true])), len(np.unique(numbers[~is_true]))
    _check_enough(in_true, in_other, "patients with images")
    areas, true_parts, other_parts = _components(is_true, scores)
    # Deviations from the areas, which a patient without such images has none of.
    of_true, of_other = (
        np.stack([np.bincount(numbers[which], row, minlength=count) for row in _with_difference(parts)])
        for which, parts in (
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


def _checked(is_true, *scores):
    is_true = np.asarray(is_true)
    scores = [np.asarray(score, dtype=np.float64) for score in scores]
    if is_true.ndim != 1 or is_true.dtype != bool or any(score.shape != is_true.shape for score in scores):
        raise SemenetError(
            "The truth must be an array (N,) of bool, and each score one of N numbers. "
            f"Received: {is_true.dtype} of shape {is_true.shape}, and scores of shapes "
            f"{', '.join(str(score.shape) for score in scores)}. Give one column of the probabilities each."
        )
    if not all(np.isfinite(score).all() for score in scores):
        raise SemenetError(
            "Scores must be finite. Received: NaN or infinite ones among "
            f"{len(is_true)}. NaN come from a training that diverged."
        )
    return is_true, np.stack(scores)


def _check_enough(trues, others, what):
    if min(trues, others) < 2:
        raise TooFewImagesError(
            f"DeLong's test needs two or more {what} of the class, and of the rest. "
            f"Received: {trues} and {others}. Measure on a larger split."
        )


def _components(is_true, scores):
    """Areas `(2,)`, and of each image the share of the other side that it stands right to.

    Returns:
        float64 arrays `(2,)`, `(2, true)` and `(2, other)`.
    """
    true_parts, other_parts = [], []
    for score in scores:
        true, other = np.sort(score[is_true]), np.sort(score[~is_true])
        true_parts.append(_share_below(other, score[is_true]))
        other_parts.append(1 - _share_below(true, score[~is_true]))
    true_parts, other_parts = np.stack(true_parts), np.stack(other_parts)
    return true_parts.mean(axis=1), true_parts, other_parts


def _share_below(ascending, values):
    """Share of `ascending` below each value, equal ones counting half."""
    places = [np.searchsorted(ascending, values, side=side) for side in ("left", "right")]
    return sum(places) / (2 * len(ascending))


def _with_difference(parts):
    """A third row, second minus first: its variance is not left over from larger ones by subtraction."""
    return np.concatenate([parts, parts[1:] - parts[:1]])


def _test(areas, covariance, level):
    if not 0 < level < 1:
        raise SemenetError(
            f"The level of an interval must lie between 0 and 1. Received: {level}. 0.95 is usual."
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
