"""The checks of probabilities and true classes that all metrics share."""

import math
from collections.abc import Sequence

import numpy as np

from semenet.errors import SemenetError

# Softmax in float32 may exceed 1 by a rounding error.
_TOLERANCE = 1e-5


def check_probabilities(probabilities: np.ndarray) -> None:
    """Raises an error if an array holds NaN or values outside [0, 1].

    Args:
        probabilities: float array of any shape, not empty.

    Raises:
        SemenetError: a value is NaN or outside [0, 1].
    """
    low, high = float(probabilities.min()), float(probabilities.max())
    # If an array holds NaN, its minimum is NaN.
    if math.isnan(low) or low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise SemenetError(
            "Probabilities must lie in [0, 1] and must not be NaN. "
            f"Received: {np.isnan(probabilities).sum()} NaN among {probabilities.size} values, the "
            f"others from {np.fmin.reduce(probabilities, axis=None)} to "
            f"{np.fmax.reduce(probabilities, axis=None)}. "
            "Apply softmax to logits first; NaN are the result of a training that diverged."
        )


def check_classification(
    true_index: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Checks the arguments of `classification`.

    Args:
        true_index: as for `semenet.metrics.classification`.
        probabilities: as for `classification`.
        class_names: as for `classification`, or None if they are not needed.

    Returns:
        `true_index` and `probabilities` as arrays.

    Raises:
        SemenetError: as `classification`.
    """
    true_index, probabilities = np.asarray(true_index), np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or not len(probabilities):
        raise SemenetError(
            "Probabilities must be an array (N, K) of at least one image and two classes. "
            f"Received: shape {probabilities.shape}. Give one column per class."
        )
    if true_index.shape != probabilities.shape[:1] or true_index.dtype.kind not in "iu":
        raise SemenetError(
            "The true classes must be integers, one for each row of the probabilities. "
            f"Received: {true_index.dtype} of shape {true_index.shape} for {len(probabilities)} "
            "rows. Give class numbers, not names or one-hot rows."
        )
    classes = probabilities.shape[1]
    if true_index.min() < 0 or true_index.max() >= classes:
        raise SemenetError(
            f"A true class must lie in [0, {classes}), the number of columns of the probabilities. "
            f"Received: classes from {true_index.min()} to {true_index.max()}. "
            "Number the classes in the order of the model's outputs."
        )
    check_probabilities(probabilities)
    if class_names is not None and len(class_names) != classes:
        raise SemenetError(
            "Each column of the probabilities must have one class name. "
            f"Received: {len(class_names)} names for {classes} columns. "
            "Give the classes of the model, in the order of its outputs."
        )
    return true_index, probabilities


def check_labels(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Checks labels that may be partial, and probabilities.

    Args:
        labels: int array `(N,)`, the class of each image, in [0, K); or `(N, K)`, 1 or True for each class
            that is possible for an image.
        probabilities: as for `check_classification`.
        class_names: as for `check_classification`.

    Returns:
        The possible classes, bool `(N, K)` with one or more in each row, and `probabilities` as an array.

    Raises:
        SemenetError: as `check_classification`; or labels `(N, K)` are not 0 and 1, or allow no class.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if labels.ndim != 2:
        labels, probabilities = check_classification(labels, probabilities, class_names)
        return labels[:, None] == np.arange(probabilities.shape[1]), probabilities
    zeros = np.zeros(len(labels), int)
    _, probabilities = check_classification(zeros, probabilities, class_names)
    possible = labels.astype(bool)
    if (
        labels.shape != probabilities.shape
        or not (possible == labels).all()
        or not possible.any(axis=1).all()
    ):
        raise SemenetError(
            "Labels of possible classes must be 0 or 1, with the shape of the probabilities and a 1 in each "
            f"row. Received: {labels.dtype} of shape {labels.shape} for probabilities of shape "
            f"{probabilities.shape}. Use semenet.data.possible_classes."
        )
    return possible, probabilities


def decided(possible: np.ndarray) -> np.ndarray:
    """Returns which images' labels tell whether they are of a class: bool `(N, K)`.

    A complete label decides all classes. A partial label tells only that the image is of none of the classes
    that it leaves out.

    Args:
        possible: bool `(N, K)`, as from `check_labels`.
    """
    return ~possible | (possible.sum(axis=1, keepdims=True) == 1)
