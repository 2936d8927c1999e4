"""Compares two series of runs on the same images: what the tools share."""

import numpy as np
from paper_figures import class_names

from semenet import metrics
from semenet.errors import SemenetError

FIGURES = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1, "macro_auroc": metrics.macro_auroc}


def arrays(predictions):
    """True classes `(N,)` and probabilities `(N, K)` of a predictions.csv."""
    names = class_names(predictions)
    return predictions["label"].map(names.index).to_numpy(), predictions[names].to_numpy()


def paired_difference(first, second, figure, resamples):
    """How far a figure is higher in the second of two series, with a 95 % bootstrap interval over patients.

    Args:
        first: list of DataFrame as in predictions.csv, a seed each.
        second: list of DataFrame of the same seeds and images.
        figure: name in `FIGURES`.
        resamples: int.

    Returns:
        (difference, low, high, number of resamples in which the figure was undefined and which do not count).

    Raises:
        SemenetError: if the two are not of the same images.
    """
    for one, other in zip(first, second, strict=True):
        if one["file"].tolist() != other["file"].tolist():
            raise SemenetError(
                "A paired difference needs the same images on both sides. Received: other files in "
                "predictions.csv. Evaluate both on one manifest."
            )
    # The rows of each patient; a draw takes patients with replacement, each with all images.
    groups = list(first[0].groupby("patient").indices.values())
    pairs = [(arrays(one), arrays(other)) for one, other in zip(first, second, strict=True)]

    def difference(rows):
        values = []
        for (true, mine), (_, theirs) in pairs:
            low, high = FIGURES[figure](true[rows], mine[rows]), FIGURES[figure](true[rows], theirs[rows])
            if low is None or high is None:
                return None
            values.append(high - low)
        return float(np.mean(values))

    generator = np.random.default_rng(0)
    draws = []
    for _ in range(resamples):
        chosen = generator.integers(len(groups), size=len(groups))
        draws.append(difference(np.concatenate([groups[index] for index in chosen])))
    defined = [draw for draw in draws if draw is not None]
    whole = difference(np.arange(len(first[0])))
    if not defined or whole is None:
        return None, None, None, len(draws) - len(defined)
    low, high = np.percentile(defined, [2.5, 97.5])
    return whole, float(low), float(high), len(draws) - len(defined)
