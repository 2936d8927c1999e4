"""The loss of partial labels: minus the logarithm of the probability of all possible classes together."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from semenet.data.manifest.class_labels import complete_labels

# Lower bound of probabilities, because the logarithm needs positive values.
SMALLEST = 1e-30


class PartialLabelCrossentropy(keras.losses.Loss):
    """Cross-entropy for labels of which some are partial: `-log(sum of p over the possible classes)`.

    For a complete label this is the categorical cross-entropy. With label smoothing e and K classes, the loss
    is `(1 - e) * -log(sum of p over the possible classes) + e / K * sum of -log(p) over all classes`, which
    is Keras' smoothed loss where the label is complete.

    In a TensorFlow graph the loss is computed from the logits of the softmax, so that its gradient does not
    vanish where the softmax has saturated. Elsewhere probabilities are at least 1e-30.

    Args:
        label_smoothing: e, in [0, 1).
        class_weights: one weight for each class; a partial label has the mean weight of its possible
            classes. None for equal weights.

    Call arguments:
        y_true: `(N, K)`, 1 for each possible class and 0 for every other, as from
            `semenet.data.possible_classes`.
        y_pred: probabilities `(N, K)`, float32: the output of a softmax.

    Returns:
        float32 scalar, the mean over the batch.

    Reference:
        Jin and Ghahramani, "Learning with Multiple Labels", NIPS 2002.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(name="partial_label_crossentropy", dtype="float32")
        self.label_smoothing = float(label_smoothing)
        self.class_weights = None if class_weights is None else np.asarray(class_weights, np.float32)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        log_probabilities = _log_softmax(y_pred)
        # A sum of exponentials as a maximum plus a remainder, so that nothing underflows.
        possible = ops.where(y_true > 0, log_probabilities, -np.inf)
        loss = -ops.logsumexp(possible, axis=-1)
        if self.label_smoothing:
            spread = -ops.mean(log_probabilities, axis=-1)
            loss = (1.0 - self.label_smoothing) * loss + self.label_smoothing * spread
        if self.class_weights is not None:
            loss = loss * ops.matmul(y_true, self.class_weights) / ops.sum(y_true, axis=-1)
        return loss


def possible_accuracy(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Returns for each image 1 if its predicted class is possible and 0 otherwise, float32 `(N,)`."""
    predicted = ops.argmax(y_pred, axis=-1)
    is_predicted = ops.one_hot(predicted, y_pred.shape[-1], dtype="float32")
    return ops.sum(ops.cast(y_true, "float32") * is_predicted, axis=-1)


def balanced_weights(possible: np.ndarray) -> np.ndarray:
    """Returns class weights inversely proportional to the number of images of each class.

    A partial label counts in equal parts for each of its classes, and has the mean weight of these. The mean
    weight over all images is 1.

    Args:
        possible: float `(N, K)`, as from `semenet.data.possible_classes`; each class occurs.

    Returns:
        float64 `(K,)`.
    """
    shares = possible / possible.sum(axis=1, keepdims=True, dtype=np.float64)
    counts = shares.sum(axis=0)
    return counts.sum() / (len(counts) * counts)


def partial_label_loss(possible: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the loss of each image, without smoothing, for labels and probabilities in arrays.

    Args:
        possible: float `(N, K)`.
        probabilities: float `(N, K)`.

    Returns:
        float64 `(N,)`.
    """
    total = probabilities.sum(axis=1, dtype=np.float64)
    # At least 1e-7, as Keras' loss of the complete labels.
    share = np.maximum(
        (possible * probabilities).sum(axis=1, dtype=np.float64) / total, keras.config.epsilon()
    )
    return -np.log(share)


def are_partial(possible: np.ndarray) -> bool:
    """Returns whether any row of `semenet.data.possible_classes` is partial."""
    return not complete_labels(possible).all()


def graph_logits(probabilities: keras.KerasTensor, kind: str) -> keras.KerasTensor | None:
    """Returns the logits that an activation made probabilities of; None where they cannot be found.

    Args:
        probabilities: the output of the activation.
        kind: the TensorFlow operation of the activation: "Softmax" or "Sigmoid".

    Returns:
        A tensor of the same shape in a TensorFlow graph; None for eager tensors and on other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    # Eager tensors and variables have no operation.
    if not tf.is_symbolic_tensor(probabilities) or probabilities.op.type != kind:
        return None
    return probabilities.op.inputs[0]


def _log_softmax(probabilities: keras.KerasTensor) -> keras.KerasTensor:
    logits = graph_logits(probabilities, "Softmax")
    if logits is not None:
        return ops.log_softmax(logits, axis=-1)
    return ops.log(ops.maximum(probabilities, SMALLEST))
