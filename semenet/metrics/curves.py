"""The curves of a binary decision over all thresholds."""

import numpy as np
from sklearn import metrics as sk


def roc_curve(is_true: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the false and true positive rates over all thresholds.

    Args:
        is_true: bool array `(N,)`, with both values.
        score: float array `(N,)`, higher for a positive prediction.

    Returns:
        float arrays `(M,)` of false and of true positive rates, both rising from 0 to 1.

    Example:
        >>> is_true, score = np.array([False, True, True]), np.array([0.1, 0.4, 0.9])
        >>> false_positive_rate, true_positive_rate = semenet.metrics.roc_curve(is_true, score)
        >>> false_positive_rate.tolist(), true_positive_rate.tolist()
        ([0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    false_positive, true_positive, _ = sk.roc_curve(is_true, score)
    return false_positive, true_positive


def precision_recall_curve(is_true: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes recall and precision over all thresholds.

    Args:
        is_true: bool array `(N,)`, with at least one True.
        score: float array `(N,)`, higher for a positive prediction.

    Returns:
        float arrays `(M,)`: recall, rising from 0 to 1, and precision.

    Example:
        >>> is_true, score = np.array([False, True, True]), np.array([0.1, 0.4, 0.9])
        >>> recall, precision = semenet.metrics.precision_recall_curve(is_true, score)
        >>> recall.tolist(), precision.round(2).tolist()
        ([0.0, 0.5, 1.0, 1.0], [1.0, 1.0, 1.0, 0.67])
    """
    precision, recall, _ = sk.precision_recall_curve(is_true, score)
    return recall[::-1], precision[::-1]
