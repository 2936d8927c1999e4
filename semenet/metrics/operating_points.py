"""Where a decision is made: thresholds of a probability, and the confidence from which to answer at all."""

import numpy as np

from semenet.errors import SemenetError
from semenet.metrics.classification_metrics import checked


def threshold_for(is_true, score, *, sensitivity=None, specificity=None):
    """Chooses the threshold of a decision, `score >= threshold`, that reaches a sensitivity or a specificity.

    Thresholds are scores that occur: others decide alike. Equal scores are decided alike too, so that what is
    reached may be more than what was asked for.

    Args:
        is_true: bool array `(N,)`.
        score: float array `(N,)`, higher where it is rather true.
        sensitivity: float in (0, 1]: the highest threshold that reaches it; or None.
        specificity: float in (0, 1]: the lowest threshold that reaches it; or None. One of the two.

    Returns:
        float; None where `is_true` has one value alone, or no score reaches the specificity, as where the
        highest is of one that is not true.

    Raises:
        ValueError: not exactly one target, or one outside (0, 1]; no images, shapes that differ, values of
            `is_true` other than bool, or a score that is not finite.
    """
    if (sensitivity is None) == (specificity is None):
        raise SemenetError(
            "A threshold is chosen for a sensitivity or a specificity, one of the two. "
            f"Received: sensitivity={sensitivity}, specificity={specificity}. Leave one out."
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


def at_threshold(is_true, score, threshold):
    """Figures of the decision `score >= threshold`.

    The predictive values hold for the share of true ones among these N: where they are rarer, as in
    screening, the positive one is lower.

    Args:
        is_true: bool array `(N,)`.
        score: float array `(N,)`.
        threshold: float.

    Returns:
        dict, ready for JSON: floats `sensitivity`, `specificity`, `ppv` and `npv` (the positive and the
        negative predictive value), each None where it is the share of none; and ints `true_positives`,
        `false_positives`, `true_negatives` and `false_negatives`.

    Raises:
        ValueError: as `threshold_for`, and for a threshold that is NaN.
    """
    is_true, score = _checked_scores(is_true, score)
    if np.isnan(threshold):
        raise SemenetError("A threshold must be a number. Received: NaN. Choose one with threshold_for.")
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


def abstain_band(true_index, probabilities, accuracy):
    """Chooses the confidence below which a classifier should not answer.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        accuracy: float in (0, 1], wanted among the images answered.

    Returns:
        dict, ready for JSON, of floats: `confidence`, the lowest such that the images whose highest
        probability is that or more reach the accuracy; `coverage`, their share of all; and `accuracy`, what
        they reach. None where no confidence does.

    Raises:
        ValueError: as `semenet.metrics.classification`, and for an accuracy outside (0, 1].

    Reference:
        Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks",
        https://arxiv.org/abs/1705.08500, whose bound for new images this does not give.
    """
    check_target("accuracy", accuracy)
    true_index, probabilities = checked(true_index, probabilities)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    confidence = probabilities.max(axis=1)[order]
    correct = np.cumsum((probabilities.argmax(axis=1) == true_index)[order])
    answered = np.arange(1, len(order) + 1)
    # Equal confidences are answered together: a band ends with the last of them.
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


def check_target(name, value):
    """Refuses a share to reach that lies outside (0, 1], with ValueError."""
    if not 0 < value <= 1:
        raise SemenetError(
            f"The {name} to reach must lie above 0 and be at most 1. Received: {value}. Give it as a share: "
            "0.9 for 90 %."
        )


def _checked_scores(is_true, score):
    is_true, score = np.asarray(is_true), np.asarray(score)
    if is_true.dtype != bool or score.ndim != 1 or is_true.shape != score.shape or not len(score):
        raise SemenetError(
            "Scores must be an array (N,) of one image or more, with as many bool that say which are true. "
            f"Received: {is_true.dtype} of shape {is_true.shape}, and scores of shape {score.shape}. "
            "Give one class's column, and compare the true classes with it."
        )
    # In float64 a float32 keeps its value, so that a threshold that is one of the scores meets it.
    score = score.astype(np.float64)
    if not np.isfinite(score).all():
        raise SemenetError(
            f"Scores must be finite. Received: {np.count_nonzero(~np.isfinite(score))} that are not. "
            "They come from a training that diverged."
        )
    return is_true, score


def _share(part, rest):
    return part / (part + rest) if part + rest else None
