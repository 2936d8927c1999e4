"""Paired differences between two series of runs on the same images, with intervals."""

import dataclasses
import itertools

import numpy as np
import scipy.stats
from figures import class_names

from semenet import metrics
from semenet.errors import SemenetError

FIGURES = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1, "macro_auroc": metrics.macro_auroc}


def arrays(predictions):
    """Returns the true classes `(N,)` and the probabilities `(N, K)` of a predictions.csv."""
    names = class_names(predictions)
    return predictions["label"].map(names.index).to_numpy(), predictions[names].to_numpy()


@dataclasses.dataclass(frozen=True)
class Difference:
    """The change of a metric from one series of runs to another.

    Attributes:
        before: float, the mean over the runs before the change.
        after: float, the mean over the runs after the change.
        difference: float, after minus before.
        low: lower end of the 95 % interval of the difference; None without an interval.
        high: upper end of the interval.
    """

    before: float
    after: float
    difference: float
    low: float | None
    high: float | None

    def __str__(self):
        words = f"{self.before:.3f} to {self.after:.3f}: {self.difference:+.3f} "
        if self.low is None:
            return words + "(one seed: no interval)"
        verdict = "higher" if self.low > 0 else "lower" if self.high < 0 else "no significant difference"
        return words + f"({self.low:+.3f} to {self.high:+.3f}), {verdict}"


def paired_difference(first, second, figure, resamples):
    """Returns the difference of a metric between two series, with a 95 % bootstrap interval over patients.

    Args:
        first: list of DataFrame as in predictions.csv, one for each seed.
        second: list of DataFrame of the same seeds and images.
        figure: name in `FIGURES`.
        resamples: int.

    Returns:
        (second minus first, low, high, number of resamples in which the metric is undefined; these are not
        used).

    Raises:
        SemenetError: the two series have different images.
    """
    whole, draws = _draws(first, second, figure, resamples)
    defined = [np.mean(draw) for draw in draws if draw is not None]
    undefined = len(draws) - len(defined)
    if not defined or whole is None:
        return None, None, None, undefined
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(np.mean(whole)), float(low), float(high), undefined


def difference_over_seeds(networks, figure, resamples):
    """Returns the change of a metric with a 95 % interval over patients and seeds.

    Student's interval for the sum of two variances: the variance of the mean difference over bootstrap draws
    of patients, and the variance of the mean over the seeds of each network. The degrees of freedom are
    Satterthwaite's. The interval does not cover other networks.

    Args:
        networks: list of (first, second) as for `paired_difference`, one for each network, all on the same
            images. Each network has the same weight, whatever its number of seeds.
        figure: name in `FIGURES`.
        resamples: int.

    Returns:
        `Difference`, without an interval if a network has only one seed.

    Raises:
        SemenetError: the images differ, or the metric is undefined.
    """
    counts = [len(first) for first, _ in networks]
    weights = np.repeat([1 / count / len(networks) for count in counts], counts)
    first, second = (list(itertools.chain(*side)) for side in zip(*networks, strict=True))
    whole, draws = _draws(first, second, figure, resamples)
    defined = [weights @ draw for draw in draws if draw is not None]
    if whole is None or len(defined) < 2:
        raise SemenetError(
            f"A difference needs images of every class, and at least 2 draws of patients with every class. "
            f"Received: {len(first[0])} images, {len(defined)} of {resamples} draws in which {figure} is "
            "defined. Evaluate more images."
        )
    before = float(weights @ [FIGURES[figure](*arrays(one)) for one in first])
    difference = float(weights @ whole)
    if min(counts) == 1:
        return Difference(before, before + difference, difference, None, None)
    by_network = np.split(np.array(whole), np.cumsum(counts)[:-1])
    of_seeds = [np.var(one, ddof=1) / len(one) / len(networks) ** 2 for one in by_network]
    variances = np.array([np.var(defined, ddof=1), *of_seeds])
    freedom = np.array([first[0]["patient"].nunique(), *counts]) - 1
    half = 0.0
    if variances.sum() > 0:
        freedom_of_sum = variances.sum() ** 2 / (variances**2 / freedom).sum()
        half = float(scipy.stats.t.ppf(0.975, freedom_of_sum) * np.sqrt(variances.sum()))
    return Difference(before, before + difference, difference, difference - half, difference + half)


def _draws(first, second, figure, resamples):
    """Returns the differences of each pair on all images and on each draw of patients; None if undefined.

    Raises:
        SemenetError: the two sides have different images.
    """
    for one in [*first, *second]:
        if one["file"].tolist() != first[0]["file"].tolist():
            raise SemenetError(
                "A paired difference needs the same images on both sides. Received: predictions.csv with "
                "different files. Evaluate both sides on the same manifest."
            )
    pairs = [(arrays(one), arrays(other)) for one, other in zip(first, second, strict=True)]

    def differences(rows):
        values = []
        for (true, mine), (_, theirs) in pairs:
            low, high = FIGURES[figure](true[rows], mine[rows]), FIGURES[figure](true[rows], theirs[rows])
            if low is None or high is None:
                return None
            values.append(high - low)
        return values

    # The rows of each patient. A draw takes patients with replacement, each with all of its images.
    groups = list(first[0].groupby("patient").indices.values())
    generator = np.random.default_rng(0)
    drawn = (generator.integers(len(groups), size=len(groups)) for _ in range(resamples))
    draws = [differences(np.concatenate([groups[index] for index in chosen])) for chosen in drawn]
    return differences(np.arange(len(first[0]))), draws
