"""Metrics of several labels of one image: each finding for itself, over the images where it is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from semenet.errors import SemenetError
from semenet.metrics.operating_points import metrics_at_threshold
from semenet.metrics.patient_bootstrap import share_intervals
from semenet.metrics.patient_resamples import draw_patients, percentile_interval, resample
from semenet.metrics.probabilities import check_probabilities
from semenet.metrics.resampled_metrics import Ranking

RATES = ("sensitivity", "specificity", "ppv", "npv")


def findings(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Computes the metrics of K findings, each over the images where it is known.

    A metric that needs images with the finding, or without it, is None where there are none.

    Args:
        labels: `(N, K)`, 1, 0, or below 0 where a label is not known.
        probabilities: float `(N, K)`, in [0, 1].
        class_names: the names of the findings.
        thresholds: for each finding, the probability from which on it is reported; None for 0.5.

    Returns:
        dict, ready for JSON: `macro_auroc` and `macro_average_precision`, means over the findings for which
        they are defined; `count` (N), `class_names`, and `per_class` {name: `auroc`, `average_precision`,
        `support` (images with the finding), `without`, `not_known`, `threshold`, and at this threshold
        `sensitivity`, `specificity`, `ppv` and `npv`}.

    Raises:
        SemenetError: shapes that do not fit, or a probability that is NaN or outside [0, 1].

    Example:
        >>> labels = np.array([[1, 0], [0, 1], [-1, 1], [1, 0]])
        >>> probabilities = np.array([[0.9, 0.2], [0.3, 0.1], [0.5, 0.8], [0.6, 0.4]])
        >>> found = semenet.metrics.findings(labels, probabilities, ("edema", "effusion"))
        >>> found["per_class"]["edema"]["auroc"], found["per_class"]["effusion"]["auroc"]
        (1.0, 0.5)
        >>> found["per_class"]["edema"]["not_known"]
        1
    """
    labels, probabilities = _check(labels, probabilities, class_names)
    thresholds = [0.5] * len(class_names) if thresholds is None else thresholds
    per_class: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(class_names):
        known = labels[:, index] >= 0
        is_true, score = labels[known, index] == 1, probabilities[known, index]
        both = bool(is_true.any() and not is_true.all())
        rates = dict.fromkeys(RATES)
        if known.any():
            rates = {
                key: value
                for key, value in metrics_at_threshold(is_true, score, thresholds[index]).items()
                if key in RATES
            }
        per_class[name] = {
            "auroc": float(sk.roc_auc_score(is_true, score)) if both else None,
            "average_precision": float(sk.average_precision_score(is_true, score)) if both else None,
            "support": int(is_true.sum()),
            "without": int((~is_true).sum()),
            "not_known": int((~known).sum()),
            "threshold": float(thresholds[index]),
            **rates,
        }
    return {
        "macro_auroc": _mean(per_class, "auroc"),
        "macro_average_precision": _mean(per_class, "average_precision"),
        "count": len(labels),
        "class_names": list(class_names),
        "per_class": per_class,
    }


def findings_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    patients: ArrayLike,
    thresholds: Sequence[float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, list[float] | None]:
    """Computes the interval of each metric of `findings`, by resampling patients.

    The method and its weaknesses are those of `semenet.metrics.patient_bootstrap`.

    Args:
        labels: as for `findings`.
        probabilities: as for `findings`.
        class_names: as for `findings`.
        patients: N values, the patient of each image.
        thresholds: as for `findings`.
        resamples: number of times that the patients are resampled.
        seed: 0 or more.
        level: confidence level, in (0, 1).

    Returns:
        dict of `macro_auroc`, `macro_average_precision` and `per_class.<name>.<metric>` to `[low, high]`;
        None as for `semenet.metrics.classification_intervals`.

    Raises:
        SemenetError: as `findings` and `semenet.metrics.classification_intervals`.

    Example:
        >>> labels, probabilities = np.array([[1], [0], [1], [0]]), np.array([[0.9], [0.2], [0.7], [0.4]])
        >>> found = semenet.metrics.findings_intervals(labels, probabilities, ("edema",), list("abcd"))
        >>> found["macro_auroc"]
        [1.0, 1.0]
    """
    labels, probabilities = _check(labels, probabilities, class_names)
    thresholds = [0.5] * len(class_names) if thresholds is None else thresholds
    bootstrap = draw_patients(patients, len(labels), resamples, seed, level)
    known = labels >= 0
    shares = {}
    for index, name in enumerate(class_names):
        rows, is_true = known[:, index], labels[:, index] == 1
        positive = probabilities[:, index] >= thresholds[index]
        shares |= {
            f"per_class.{name}.sensitivity": (positive, is_true & rows),
            f"per_class.{name}.specificity": (~positive, ~is_true & rows),
            f"per_class.{name}.ppv": (is_true, positive & rows),
            f"per_class.{name}.npv": (~is_true, ~positive & rows),
        }
    names = ["macro_auroc", "macro_average_precision"]
    names += [
        f"per_class.{name}.{metric}" for name in class_names for metric in ("auroc", "average_precision")
    ]
    intervals: dict[str, list[float] | None] = dict.fromkeys(names)
    if bootstrap.count > 1:
        images = np.arange(len(labels))
        rankings = [
            Ranking(probabilities[rows, index], labels[rows, index] == 1, images[rows])
            for index, rows in enumerate(known.T)
        ]

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            areas = [ranking.areas(weights.astype(np.float64)) for ranking in rankings]
            auroc, precision = (np.stack(values, axis=1) for values in zip(*areas, strict=True))
            drawn = {"macro_auroc": _row_means(auroc), "macro_average_precision": _row_means(precision)}
            for index, name in enumerate(class_names):
                drawn[f"per_class.{name}.auroc"] = auroc[:, index]
                drawn[f"per_class.{name}.average_precision"] = precision[:, index]
            return drawn

        drawn = resample(bootstrap, compute)
        intervals = {name: percentile_interval(values, level) for name, values in drawn.items()}
    return intervals | share_intervals(shares, patients, resamples, seed, level)


def youden_threshold(is_true: np.ndarray, score: np.ndarray) -> float | None:
    """Returns the threshold with the highest sensitivity + specificity: a score at or above it is positive.

    Args:
        is_true: bool `(N,)`.
        score: float `(N,)`.

    Returns:
        The threshold, one of the scores; of several, the highest. None without images of both kinds.

    Reference:
        Youden, "Index for rating diagnostic tests", Cancer 1950.

    Example:
        >>> semenet.metrics.youden_threshold(np.array([True, True, False]), np.array([0.9, 0.4, 0.2]))
        0.4
    """
    is_true, score = np.asarray(is_true, bool), np.asarray(score)
    if not is_true.any() or is_true.all():
        return None
    false_rate, true_rate, thresholds = sk.roc_curve(is_true, score, drop_intermediate=False)
    # The first threshold is infinite: nothing is positive.
    best = 1 + int(np.argmax((true_rate - false_rate)[1:]))
    return float(thresholds[best])


def _check(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim != 2 or not len(labels) or labels.shape[1] != len(class_names):
        raise SemenetError(
            "The labels of findings must be an array (N, K) of at least one image, with a name for each "
            f"column. Received: shape {labels.shape} for {len(class_names)} names. Use semenet.data."
            "known_labels."
        )
    if probabilities.shape != labels.shape:
        raise SemenetError(
            f"There must be a probability for each label. Received: shape {probabilities.shape} for labels "
            f"of shape {labels.shape}. Take both from the same rows and classes."
        )
    check_probabilities(probabilities)
    return labels, probabilities


def _mean(per_class: dict[str, dict[str, Any]], metric: str) -> float | None:
    defined = [values[metric] for values in per_class.values() if values[metric] is not None]
    return float(np.mean(defined)) if defined else None


def _row_means(values: np.ndarray) -> np.ndarray:
    """Computes means `(B,)` over the values `(B, K)` that are not NaN; NaN where there are none."""
    defined = ~np.isnan(values)
    total, count = np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
