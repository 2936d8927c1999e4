"""The loss of several labels, of which some are not known: cross-entropy over the known ones."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from semenet.training.losses.partial_loss import graph_logits


class MaskedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy, averaged over the labels of an image that are known.

    An image without a known label has the loss 0. In a TensorFlow graph the loss is computed from the logits
    of the sigmoid, elsewhere from probabilities of at least 1e-7 and at most 1 - 1e-7.

    Args:
        label_smoothing: e, in [0, 1): the targets are e / 2 and 1 - e / 2.
        positive_weights: for each label the weight of its positive images; None for 1.

    Call arguments:
        y_true: `(N, K)`, 1, 0, or below 0 where a label is not known.
        y_pred: probabilities `(N, K)`, float32: the output of a sigmoid.

    Returns:
        float32 scalar, the mean over the batch.

    Example:
        >>> from semenet.training.losses.masked_loss import MaskedBinaryCrossentropy
        >>> labels, outputs = np.array([[1.0, -1.0]]), np.array([[0.5, 0.9]])
        >>> round(float(MaskedBinaryCrossentropy()(labels, outputs)), 4)
        0.6931
    """

    def __init__(self, label_smoothing: float = 0.0, positive_weights: Sequence[float] | None = None) -> None:
        super().__init__(name="masked_binary_crossentropy", dtype="float32")
        self.label_smoothing = float(label_smoothing)
        self.positive_weights = None if positive_weights is None else np.asarray(positive_weights, np.float32)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        known = ops.cast(y_true >= 0, "float32")
        is_positive = ops.cast(y_true > 0.5, "float32")
        target = is_positive * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        logits = graph_logits(y_pred, "Sigmoid")
        if logits is None:
            p = ops.clip(y_pred, keras.config.epsilon(), 1.0 - keras.config.epsilon())
            loss = -target * ops.log(p) - (1.0 - target) * ops.log(1.0 - p)
        else:
            loss = ops.softplus(logits) - logits * target
        if self.positive_weights is not None:
            loss = loss * (1.0 + is_positive * (self.positive_weights - 1.0))
        return ops.sum(loss * known, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)


def positive_weights(labels: np.ndarray) -> np.ndarray:
    """Returns for each label the number of negative images over that of positive ones.

    Args:
        labels: `(N, K)`, 1, 0, or below 0 where a label is not known; both occur in each column.

    Returns:
        float64 `(K,)`.
    """
    return (labels == 0).sum(axis=0) / (labels == 1).sum(axis=0)


def masked_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean loss of images with a known label, without smoothing or weights.

    Args:
        labels: `(N, K)`, as for `positive_weights`.
        probabilities: float `(N, K)`.
    """
    known = labels >= 0
    p = np.clip(probabilities.astype(np.float64), keras.config.epsilon(), 1 - keras.config.epsilon())
    loss = np.where(labels == 1, -np.log(p), -np.log1p(-p)) * known
    counted = known.any(axis=1)
    return float(np.mean((loss.sum(axis=1) / np.maximum(known.sum(axis=1), 1))[counted]))
