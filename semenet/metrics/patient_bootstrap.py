"""Confidence intervals of metrics, by resampling patients.

Images of one patient resemble each other, so that resampling images would give intervals that are too
narrow. Each resample draws as many patients as there are, with replacement, and takes all images of a
patient as often as the patient was drawn. The interval holds the middle share `level` of the metric over the
resamples (the percentile method).

Known weaknesses: a metric at the end of its range, such as an accuracy of 1, has the same value in every
resample, and its interval collapses to a point that says nothing about the true value. With few patients
(fewer than about 30, or about 10 per class) intervals are too narrow. The patients are assumed to be
independent: an interval says nothing about another hospital. The expected calibration error (`ece`) is
biased upwards for few images, and more so for their resamples: its interval may lie above its value.

No library computes these: `scipy.stats.bootstrap` resamples single observations, and calls the statistic
once per resample, where all resamples are computed together here.

Reference:
    Efron & Tibshirani 1993, chapter 13 (the percentile interval); Field & Welsh 2007 (the cluster
    bootstrap).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from semenet.errors import SemenetError
from semenet.metrics.patient_resamples import draw_patients, percentile_interval, resample, two_sided_p_value
from semenet.metrics.resampled_metrics import resampled_classification


def classification_intervals(
    true_index: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, list[float] | None]:
    """Computes the interval of each metric of a classification.

    The method and its weaknesses are described in this module.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        class_names: K names, in the order of the columns.
        patients: N values, the patient of each image.
        resamples: number of times that the patients are resampled.
        seed: 0 or more.
        level: share of the resampled values that an interval holds, in (0, 1).

    Returns:
        dict of the keys of `semenet.metrics.resampled_classification` to `[low, high]`: the percentile
        interval over the resamples in which the metric is defined. None if the metric is undefined for the
        original images or in more than half of the resamples, or if there are fewer than two patients.

    Raises:
        SemenetError: as `semenet.metrics.classification` and `PatientBootstrap`; the number of patients
            differs from the number of images, or `level` is outside (0, 1).

    Example:
        >>> intervals = semenet.metrics.classification_intervals(
        ...     np.array([0, 0, 1, 1]),
        ...     np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]),
        ...     ("normal", "pneumonia"),
        ...     patients=["a", "b", "c", "d"],
        ... )
        >>> intervals["accuracy"]
        [0.25, 1.0]
    """
    bootstrap = draw_patients(patients, len(true_index), resamples, seed, level)
    if bootstrap.count < 2:
        return dict.fromkeys(_original_metrics(true_index, probabilities, class_names))
    drawn = resample(
        bootstrap, lambda weights: resampled_classification(true_index, probabilities, class_names, weights)
    )
    # A metric that is undefined for the original images is undefined for every resample of them.
    return {name: percentile_interval(values, level) for name, values in drawn.items()}


def mean_intervals(
    scores: Mapping[str, np.ndarray],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, list[float] | None]:
    """Computes the interval of the mean of each score, such as Dice, over the images.

    The method and its weaknesses are described in this module. Images without a score are left out.

    Args:
        scores: dict of float arrays `(N,)`, NaN for an image without this score.
        patients: N values, the patient of each image.
        resamples: number of times that the patients are resampled.
        seed: 0 or more.
        level: confidence level, in (0, 1).

    Returns:
        dict of the keys of `scores` to `[low, high]`; None as for `classification_intervals`.

    Raises:
        SemenetError: as `PatientBootstrap`; a score is infinite, the number of scores differs from the number
            of patients, or `level` is outside (0, 1).

    Example:
        >>> scores = {"dice": np.array([0.9, 0.8, 0.95, 0.7])}
        >>> low, high = semenet.metrics.mean_intervals(scores, patients=["a", "a", "b", "c"])["dice"]
        >>> round(low, 3), round(high, 3)
        (0.7, 0.95)
    """
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    for name, values in scores.items():
        bootstrap = draw_patients(patients, len(values), resamples, seed, level)
        if values.ndim != 1 or np.isinf(values).any():
            raise SemenetError(
                "Scores must be one finite number per image, or NaN for an image without a score. "
                f"Received: {name!r} of shape {values.shape}, {np.isinf(values).sum()} infinite. "
                "Give the arrays that semenet.metrics.overlap returns."
            )
    if not scores or bootstrap.count < 2:
        return dict.fromkeys(scores)
    drawn = resample(bootstrap, lambda weights: score_means(scores, weights))
    return {name: percentile_interval(drawn[name], level) for name in scores}


def share_intervals(
    shares: Mapping[str, tuple[np.ndarray, np.ndarray]],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, list[float] | None]:
    """Computes the interval of shares of images, such as the sensitivity at a threshold.

    The method and its weaknesses are described in this module.

    Args:
        shares: dict of pairs of bool arrays `(N,)`: the images that count in the numerator, and those that
            count in the denominator.
        patients: N values, the patient of each image.
        resamples: number of times that the patients are resampled.
        seed: 0 or more.
        level: confidence level, in (0, 1).

    Returns:
        dict of the keys of `shares` to `[low, high]`; None as for `classification_intervals`.

    Raises:
        SemenetError: as `mean_intervals`.

    Example:
        >>> is_positive, is_ill = np.array([True, True, False, True]), np.array([True, True, True, False])
        >>> semenet.metrics.share_intervals({"sensitivity": (is_positive, is_ill)}, patients=list("abcd"))
        {'sensitivity': [0.0, 1.0]}
    """
    scores = {
        name: np.where(in_denominator, in_numerator, np.nan)
        for name, (in_numerator, in_denominator) in shares.items()
    }
    return mean_intervals(scores, patients, resamples, seed, level)


def paired_intervals(
    true_index: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    class_names: Sequence[str],
    patients: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, dict[str, Any]]:
    """Compares the metrics of two classifications of the same images, with intervals and p-values.

    Both are measured on the same resamples, so that patients who are hard for both do not count as a
    difference. The method and its weaknesses are described in this module. The p-value is two-sided, of the
    hypothesis that the metrics are equal: twice the smaller of the shares of the resamples in which the
    difference is at most and at least 0, each count raised by 1, and at most 1. It is never below
    2 / (resamples + 1), has the weaknesses of the interval, and is not corrected for multiple comparisons.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K).
        first: float array `(N, K)`, in [0, 1], the probabilities of one network.
        second: the same for another network, with the same columns.
        class_names: K names, in the order of the columns.
        patients: N values, the patient of each image.
        resamples: number of times that the patients are resampled.
        seed: 0 or more.
        level: confidence level, in (0, 1).

    Returns:
        dict of the keys of `semenet.metrics.resampled_classification` to a dict: floats `first`,
        `second` and `difference`, second minus first, None where undefined; `interval` of the difference,
        `[low, high]`, and float `p_value` in (0, 1], None as for `classification_intervals`.

    Raises:
        SemenetError: as `classification_intervals`, or the numbers of columns differ.

    Reference:
        Davison & Hinkley 1997, section 4.2 (the count raised by 1).

    Example:
        >>> true_index = np.array([0, 0, 1, 1])
        >>> first = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> second = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.3, 0.7]])
        >>> result = semenet.metrics.paired_intervals(true_index, first, second, "ab", patients=list("pqrs"))
        >>> result["accuracy"]["difference"], result["accuracy"]["interval"]
        (0.25, [0.0, 0.75])
    """
    bootstrap = draw_patients(patients, len(true_index), resamples, seed, level)
    of_first, of_second = (
        _original_metrics(true_index, probabilities, class_names) for probabilities in (first, second)
    )
    drawn = {}
    if bootstrap.count > 1:

        def differences(weights: np.ndarray) -> dict[str, np.ndarray]:
            of_first, of_second = (
                resampled_classification(true_index, probabilities, class_names, weights)
                for probabilities in (first, second)
            )
            return {name: of_second[name] - values for name, values in of_first.items()}

        drawn = resample(bootstrap, differences)
    result = {}
    for name, value in of_first.items():
        other = of_second[name]
        values = drawn.get(name)
        result[name] = {
            "first": _number(value),
            "second": _number(other),
            "difference": _number(other - value),
            "interval": None if values is None else percentile_interval(values, level),
            "p_value": None if values is None else two_sided_p_value(values),
        }
    return result


def _original_metrics(
    true_index: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> dict[str, float]:
    """Computes the metrics of the original images, NaN where undefined."""
    ones = np.ones((1, len(true_index)))
    metrics = resampled_classification(true_index, probabilities, class_names, ones)
    return {name: float(values[0]) for name, values in metrics.items()}


def score_means(scores: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Computes weighted means of scores, once for each row of weights.

    Args:
        scores: dict of float arrays `(N,)`, NaN for an image without this score.
        weights: array `(B, N)`, 0 or more.

    Returns:
        dict of float arrays `(B,)`, NaN where no image with a score has a weight.
    """
    means = {}
    for name, values in scores.items():
        defined = ~np.isnan(values)
        count = weights @ defined.astype(np.float64)
        total = weights @ np.where(defined, values, 0)
        means[name] = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return means


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
