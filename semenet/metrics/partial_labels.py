"""What metrics count of partial labels, which leave several classes open, and what they leave out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from semenet.metrics.probabilities import decided

# Metrics that images with a partial label are left out of.
COMPLETE_LABELS_ONLY = ("accuracy", "balanced_accuracy", "confusion_matrix", "brier", "ece")


def excluded_counts(possible: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts the partial labels that leave out each class.

    Args:
        possible: bool `(N, K)`, the possible classes of each image.
        probabilities: float `(N, K)`.

    Returns:
        int `(2, K)`: how many of these images are predicted as the class, and how many are not.
    """
    partial = possible.sum(axis=1) > 1
    is_predicted = probabilities[partial].argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    left_out = ~possible[partial]
    return np.stack([(left_out & is_predicted).sum(axis=0), (left_out & ~is_predicted).sum(axis=0)])


def describe_partial_labels(possible: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Returns how many labels are partial, and how many of them each metric or class leaves out.

    Args:
        possible: bool `(N, K)`, the possible classes of each image.
        class_names: the K names.

    Returns:
        dict, ready for JSON: `count`, and `left_out` {metric or `per_class.<name>`: count}.
    """
    count = int((possible.sum(axis=1) > 1).sum())
    undecided = (~decided(possible)).sum(axis=0).tolist()
    left_out = dict.fromkeys(COMPLETE_LABELS_ONLY, count)
    return {
        "count": count,
        "left_out": left_out
        | {f"per_class.{name}": number for name, number in zip(class_names, undecided, strict=True)},
    }
