"""Intervals of figures, by resampling patients.

Images of one patient resemble each other, so that resampling images would find intervals too narrow. Each
resample draws as many patients as there are, with replacement, and takes all images of each as often as
the patient was drawn. The interval holds the middle share `level` of the figures of the resamples: the
percentile method.

Known weaknesses: a figure at the end of its range, such as an accuracy of 1, is there in every resample,
and its interval collapses to a point that says nothing of the true one. With few patients (below some 30,
or below some 10 of a class) intervals come out too narrow. The patients are held to be drawn independently
of each other: an interval says nothing of another hospital. The expected calibration error (`ece`) comes out
too high of few images, and of their resamples more so: its interval may lie above it.

Reference:
    Efron & Tibshirani 1993, chapter 13 (the percentile interval); Field & Welsh 2007 (the cluster
    bootstrap).
"""

import numpy as np
import pandas as pd

from semenet.errors import SemenetError
from semenet.metrics.resampled import resampled_classification

# Images' weights in a chunk of resamples: 4 MB as uint16.
_CHUNK_WEIGHTS = 2_000_000
_SMALLEST_SHARE_DEFINED = 0.5
LEAST_RESAMPLES = 200


class PatientBootstrap:
    """Resamples of patients, as weights of their images.

    The same patients, number and seed give the same resamples.

    Args:
        patients: N values, each image's patient.
        resamples: int, 1 or more.
        seed: int, 0 or more.

    Attributes:
        count: int, the number of patients.

    Raises:
        ValueError: there are no images, `resamples` is below 1, or `seed` below 0.
    """

    def __init__(self, patients, resamples=2000, seed=0):
        patients = np.asarray(patients, dtype=object)
        if patients.ndim != 1 or not len(patients):
            raise SemenetError(
                "Patients must be a sequence of one name or number for each image, of one image or more. "
                f"Received: shape {patients.shape}. Give the rows' column `patient`."
            )
        if resamples < 1 or seed < 0:
            raise SemenetError(
                "A bootstrap needs one resample or more, and a seed of 0 or more. "
                f"Received: resamples={resamples}, seed={seed}. 2000 and 0 are usual."
            )
        self.patients, known = pd.factorize(patients, use_na_sentinel=False)
        self.count = len(known)
        self.resamples, self.seed = resamples, seed

    def __iter__(self):
        """Yields the weights a chunk of resamples at a time, so that memory does not grow with them.

        Yields:
            uint16 arrays `(b, N)`, which add up to `resamples` rows: how often each image is drawn.
        """
        generator = np.random.default_rng(self.seed)
        rows = max(1, _CHUNK_WEIGHTS // max(len(self.patients), self.count))
        for start in range(0, self.resamples, rows):
            chunk = min(rows, self.resamples - start)
            # Counts of draws are multinomial; numpy's own takes four times as long for 5000 patients.
            drawn = generator.integers(self.count, size=(chunk, self.count))
            drawn += np.arange(chunk)[:, None] * self.count
            counts = np.bincount(drawn.ravel(), minlength=chunk * self.count)
            yield counts.reshape(chunk, self.count).astype(np.uint16)[:, self.patients]


def check_resamples(resamples):
    """Refuses, with ValueError, a number of resamples whose extremes say nothing of a 95 % interval."""
    if resamples < LEAST_RESAMPLES:
        raise SemenetError(
            f"An interval needs {LEAST_RESAMPLES} resamples or more. Received: {resamples}. 2000 is usual."
        )


def classification_intervals(
    true_index, probabilities, class_names, patients, resamples=2000, seed=0, level=0.95
):
    """Interval of each figure of a classification; see this module for the method and its weaknesses.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        class_names: K str, in the order of the columns.
        patients: N values, each image's patient.
        resamples: int, how many times the patients are drawn anew.
        seed: int, 0 or more.
        level: float in (0, 1), the share of the resamples' figures that an interval holds.

    Returns:
        dict of the names of `semenet.metrics.resampled_classification` to `[low, high]`: the percentile
        interval over the resamples in which the figure is defined; None if the figure is undefined for
        the images as they are or in more than half of the resamples, or there are fewer than two patients.

    Raises:
        ValueError: as `semenet.metrics.classification` and `PatientBootstrap`; patients of another number
            than images, or a `level` outside (0, 1).
    """
    bootstrap = _bootstrap(patients, len(true_index), resamples, seed, level)
    if bootstrap.count < 2:
        return dict.fromkeys(_whole(true_index, probabilities, class_names))
    drawn = _drawn(
        bootstrap, lambda weights: resampled_classification(true_index, probabilities, class_names, weights)
    )
    # What the images as they are leave undefined, no resample of them defines.
    return {name: _interval(values, level) for name, values in drawn.items()}


def mean_intervals(scores, patients, resamples=2000, seed=0, level=0.95):
    """Interval of the mean of each of the images' scores, such as Dice.

    See this module for the method and its weaknesses. The mean is over the images that have the score.

    Args:
        scores: dict of float arrays `(N,)`, NaN where an image has no such score.
        patients: N values, each image's patient.
        resamples: int, how many times the patients are drawn anew.
        seed: int, 0 or more.
        level: float in (0, 1).

    Returns:
        dict of the names of `scores` to `[low, high]`; None as for `classification_intervals`.

    Raises:
        ValueError: as `PatientBootstrap`; scores that are infinite, or of another number than patients; or a
            `level` outside (0, 1).
    """
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    for name, values in scores.items():
        bootstrap = _bootstrap(patients, len(values), resamples, seed, level)
        if values.ndim != 1 or np.isinf(values).any():
            raise SemenetError(
                "Scores must be one finite number for each image, or NaN where it has none. "
                f"Received: {name!r} of shape {values.shape}, {np.isinf(values).sum()} infinite. "
                "Give the arrays that semenet.metrics.overlap returns."
            )
    if not scores or bootstrap.count < 2:
        return dict.fromkeys(scores)
    drawn = _drawn(bootstrap, lambda weights: _means(scores, weights))
    return {name: _interval(drawn[name], level) for name in scores}


def share_intervals(shares, patients, resamples=2000, seed=0, level=0.95):
    """Interval of shares of images, such as a sensitivity at a threshold.

    See this module for the method and its weaknesses.

    Args:
        shares: dict of pairs of bool arrays `(N,)`: which images have something, and among which they are
            counted.
        patients: N values, each image's patient.
        resamples: int, how many times the patients are drawn anew.
        seed: int, 0 or more.
        level: float in (0, 1).

    Returns:
        dict of the names of `shares` to `[low, high]`; None as for `classification_intervals`.

    Raises:
        ValueError: as `mean_intervals`.
    """
    scores = {name: np.where(counted, has, np.nan) for name, (has, counted) in shares.items()}
    return mean_intervals(scores, patients, resamples, seed, level)


def paired_intervals(true_index, first, second, class_names, patients, resamples=2000, seed=0, level=0.95):
    """How the figures of two classifications of the same images differ, with intervals and p-values.

    Both are measured on the same resamples, so that what makes some patients hard for both does not
    count as a difference; see this module for the method and its weaknesses. The p-value is two-sided, of
    the test that the figures are equal: twice the smaller of the shares of the resamples in which the
    difference is at most and at least 0, each count raised by 1, and at most 1. It is never below
    2 / (resamples + 1), has the weaknesses of the interval, and is not corrected for how many figures
    are looked at.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        first: float array `(N, K)`, in [0, 1], the probabilities of one network.
        second: the same of another network, with the same columns.
        class_names: K str, in the order of the columns.
        patients: N values, each image's patient.
        resamples: int, how many times the patients are drawn anew.
        seed: int, 0 or more.
        level: float in (0, 1).

    Returns:
        dict of the names of `semenet.metrics.resampled_classification` to a dict: floats `first`,
        `second` and `difference`, second minus first, None where undefined; `interval` of the difference,
        `[low, high]`, and float `p_value` in (0, 1], None as for `classification_intervals`.

    Raises:
        ValueError: as `classification_intervals`, or the two have different numbers of columns.

    Reference:
        Davison & Hinkley 1997, section 4.2 (the count raised by 1).
    """
    bootstrap = _bootstrap(patients, len(true_index), resamples, seed, level)
    wholes = [_whole(true_index, probabilities, class_names) for probabilities in (first, second)]
    drawn = {}
    if bootstrap.count > 1:

        def differences(weights):
            of_first, of_second = (
                resampled_classification(true_index, probabilities, class_names, weights)
                for probabilities in (first, second)
            )
            return {name: of_second[name] - values for name, values in of_first.items()}

        drawn = _drawn(bootstrap, differences)
    result = {}
    for name, value in wholes[0].items():
        other = wholes[1][name]
        values = drawn.get(name)
        result[name] = {
            "first": _number(value),
            "second": _number(other),
            "difference": _number(other - value),
            "interval": None if values is None else _interval(values, level),
            "p_value": None if values is None else _p_value(values),
        }
    return result


def _bootstrap(patients, images, resamples, seed, level):
    bootstrap = PatientBootstrap(patients, resamples, seed)
    if len(bootstrap.patients) != images:
        raise SemenetError(
            "There must be one patient for each image. "
            f"Received: {len(bootstrap.patients)} for {images} images. Take both from the same rows."
        )
    if not 0 < level < 1:
        raise SemenetError(
            f"The level of an interval must lie between 0 and 1. Received: {level}. 0.95 is usual."
        )
    return bootstrap


def _whole(true_index, probabilities, class_names):
    """The figures of the images as they are, floats with NaN."""
    ones = np.ones((1, len(true_index)))
    figures = resampled_classification(true_index, probabilities, class_names, ones)
    return {name: float(values[0]) for name, values in figures.items()}


def _drawn(bootstrap, figures):
    """The figures of all resamples: dict of arrays `(resamples,)`."""
    parts = [figures(weights) for weights in bootstrap]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _means(scores, weights):
    means = {}
    for name, values in scores.items():
        defined = ~np.isnan(values)
        count = weights @ defined.astype(np.float64)
        total = weights @ np.where(defined, values, 0)
        means[name] = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return means


def _defined(values):
    """What is defined, or None if that is less than half."""
    defined = values[~np.isnan(values)]
    return defined if len(defined) >= _SMALLEST_SHARE_DEFINED * len(values) else None


def _interval(values, level):
    defined = _defined(values)
    if defined is None:
        return None
    return np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()


def _p_value(differences):
    defined = _defined(differences)
    if defined is None:
        return None
    tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (int(tail) + 1) / (len(defined) + 1))


def _number(value):
    return None if np.isnan(value) else float(value)
