"""Operating points: thresholds of a probability, and the confidence below which not to answer."""

from typing import Any

import numpy as np

from semenet.errors import SemenetError
from semenet.metrics.probabilities import check_classification


def choose_threshold(
    is_true: np.ndarray,
    score: np.ndarray,
    *,
    sensitivity: float | None = None,
    specificity: float | None = None,
) -> float | None:
    """Chooses the threshold of a decision, `score >= threshold`, that reaches a sensitivity or a specificity.

    The threshold is one of the scores: values between them decide alike. Because equal scores are decided
    alike too, the sensitivity or specificity may be higher than the target.

    Args:
        is_true: bool array `(N,)`.
        score: float array `(N,)`, higher for a positive prediction.
        sensitivity: target in (0, 1], reached by the highest possible threshold; or None.
        specificity: target in (0, 1], reached by the lowest possible threshold; or None. Give exactly one of
            the two targets.

    Returns:
        float; None if `is_true` has only one value, or no threshold reaches the specificity, for instance
        because the highest score belongs to a negative.

    Raises:
        SemenetError: not exactly one target, or one outside (0, 1]; no images, shapes that differ, values of
            `is_true` other than bool, or a score that is not finite.

    Example:
        >>> is_true, score = np.array([False, True, False, True]), np.array([0.1, 0.4, 0.5, 0.9])
        >>> semenet.metrics.choose_threshold(is_true, score, sensitivity=1.0)
        0.4
        >>> semenet.metrics.choose_threshold(is_true, score, specificity=1.0)
        0.9
    """
    if (sensitivity is None) == (specificity is None):
        raise SemenetError(
            "A threshold is chosen for either a sensitivity or a specificity. "
            f"Received: sensitivity={sensitivity}, specificity={specificity}. Give exactly one of them."
        )
    is_true, score = _checked_scores(is_true, score)
    if sensitivity is not None:
        check_target("sensitivity", sensitivity)
    else:
        check_target("specificity", specificity)
    if is_true.all() or not is_true.any():
        return None
    candidates = np.unique(score)
    if sensitivity is not None:
        positive = np.sort(score[is_true])
        reached = (len(positive) - np.searchsorted(positive, candidates)) / len(positive)
        return float(candidates[reached >= sensitivity][-1])
    negative = np.sort(score[~is_true])
    reached = np.searchsorted(negative, candidates) / len(negative)
    enough = candidates[reached >= specificity]
    return float(enough[0]) if len(enough) else None


def metrics_at_threshold(is_true: np.ndarray, score: np.ndarray, threshold: float) -> dict[str, Any]:
    """Computes the metrics of the decision `score >= threshold`.

    The predictive values hold for the share of positives among these N images. With a lower prevalence, as
    in screening, the positive predictive value is lower.

    Args:
        is_true: bool array `(N,)`.
        score: float array `(N,)`.
        threshold: float.

    Returns:
        dict, ready for JSON: floats `sensitivity`, `specificity`, `ppv` and `npv` (the positive and the
        negative predictive value), each None if its denominator is 0; and ints `true_positives`,
        `false_positives`, `true_negatives` and `false_negatives`.

    Raises:
        SemenetError: as `choose_threshold`, and for a threshold that is NaN.

    Example:
        >>> is_true, score = np.array([False, True, False, True]), np.array([0.1, 0.4, 0.5, 0.9])
        >>> result = semenet.metrics.metrics_at_threshold(is_true, score, 0.4)
        >>> result["sensitivity"], result["specificity"], result["false_positives"]
        (1.0, 0.5, 1)
    """
    is_true, score = _checked_scores(is_true, score)
    if np.isnan(threshold):
        raise SemenetError("A threshold must be a number. Received: NaN. Choose one with choose_threshold.")
    positive = score >= float(threshold)
    true_positives = int(np.count_nonzero(positive & is_true))
    false_positives = int(np.count_nonzero(positive & ~is_true))
    true_negatives = int(np.count_nonzero(~positive & ~is_true))
    false_negatives = int(np.count_nonzero(~positive & is_true))
    return {
        "sensitivity": _share(true_positives, false_negatives),
        "specificity": _share(true_negatives, false_positives),
        "ppv": _share(true_positives, false_positives),
        "npv": _share(true_negatives, false_negatives),
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": true_negatives,
        "false_negatives": false_negatives,
    }


def choose_abstention(
    true_index: np.ndarray, probabilities: np.ndarray, accuracy: float
) -> dict[str, float] | None:
    """Chooses the confidence below which a classifier should not answer.

    Args:
        true_index: int array `(N,)`, the class of each image, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        accuracy: target in (0, 1] among the answered images.

    Returns:
        dict, ready for JSON, of floats: `confidence`, the lowest value such that the images whose highest
        probability is at least this value reach the target; `coverage`, the share of these images; and
        `accuracy`, the accuracy on them. None if no confidence reaches the target.

    Raises:
        SemenetError: as `semenet.metrics.classification`, and for an accuracy outside (0, 1].

    Reference:
        Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks",
        https://arxiv.org/abs/1705.08500. Their bound for new images is not computed here.

    Example:
        >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> semenet.metrics.choose_abstention(np.array([0, 0, 1, 1]), probabilities, accuracy=1.0)
        {'confidence': 0.7, 'coverage': 0.75, 'accuracy': 1.0}
    """
    check_target("accuracy", accuracy)
    true_index, probabilities = check_classification(true_index, probabilities)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    confidence = probabilities.max(axis=1)[order]
    correct = np.cumsum((probabilities.argmax(axis=1) == true_index)[order])
    answered = np.arange(1, len(order) + 1)
    # Equal confidences are answered together: only the last of them can be the limit.
    ends = np.append(confidence[1:] < confidence[:-1], True)
    enough = np.flatnonzero(ends & (correct / answered >= accuracy))
    if not len(enough):
        return None
    last = enough[-1]
    return {
        "confidence": float(confidence[last]),
        "coverage": float(answered[last] / len(order)),
        "accuracy": float(correct[last] / answered[last]),
    }


def check_target(name: str, value: float) -> None:
    """Raises SemenetError if a target share is outside (0, 1]."""
    if not 0 < value <= 1:
        raise SemenetError(
            f"The target {name} must be above 0 and at most 1. Received: {value}. Give it as a share: "
            "0.9 for 90 %."
        )


def _checked_scores(is_true: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    is_true, score = np.asarray(is_true), np.asarray(score)
    if is_true.dtype != bool or score.ndim != 1 or is_true.shape != score.shape or not len(score):
        raise SemenetError(
            "Scores must be an array (N,) of one or more images, and the truth an array (N,) of bool. "
            f"Received: {is_true.dtype} of shape {is_true.shape}, and scores of shape {score.shape}. "
            "Give the column of one class, and whether each image is of this class."
        )
    # float64 represents every float32 exactly, so that a threshold equals the score it was taken from.
    score = score.astype(np.float64)
    if not np.isfinite(score).all():
        raise SemenetError(
            f"Scores must be finite. Received: {np.count_nonzero(~np.isfinite(score))} that are not. "
            "They are the result of a training that diverged."
        )
    return is_true, score


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
