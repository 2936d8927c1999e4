"""The share of a class activation that lies outside the lungs, as a loss."""

import keras
from keras import ops

from semenet.training.distillation.image_fitting import resize

# So that an activation of zeros has share 0 and a finite gradient.
_SMALLEST = 1e-6


def class_activation(
    features: keras.KerasTensor, kernel: keras.KerasTensor, labels: keras.KerasTensor
) -> keras.KerasTensor:
    """Computes where an image speaks for its own class: the positive part of its class activation map.

    Args:
        features: `(N, h, w, C)`, the last feature map, any floating dtype.
        kernel: `(C, K)`, the head's kernel, after global average pooling.
        labels: `(N, K)`, 1 for the true class. With several ones the mean of their maps is taken.

    Returns:
        float32 `(N, h, w)`, 0 or more.

    Reference:
        Zhou et al., "Learning Deep Features for Discriminative Localization",
        https://arxiv.org/abs/1512.04150

    Example:
        >>> from semenet.training.unlearning import class_activation
        >>> features = np.array([[[[1.0, 0.0], [0.0, 1.0]]]], "float32")
        >>> kernel = np.array([[2.0, -1.0], [0.5, 3.0]], "float32")
        >>> np.asarray(class_activation(features, kernel, np.array([[1.0, 0.0]]))).tolist()
        [[[2.0, 0.5]]]
    """
    labels = ops.cast(labels, "float32")
    shares = labels / ops.maximum(ops.sum(labels, axis=-1, keepdims=True), 1.0)
    weights = ops.einsum("nk,ck->nc", shares, ops.cast(kernel, "float32"))
    return ops.relu(ops.einsum("nhwc,nc->nhw", ops.cast(features, "float32"), weights))


class AttentionOutsideLungs(keras.losses.Loss):
    """The share of a class activation that lies outside the lung mask, in [0, 1].

    The mask is resized to the map, where a cell's value is the share of lung around it. That is the share of
    the bilinearly enlarged map, as it is drawn, that lies outside the mask.

    Call arguments:
        y_true: lung masks `(N, H, W)`, values in {0, 1}, of any dtype.
        y_pred: class activations `(N, h, w)`, 0 or more. The loss is computed in float32.

    Returns:
        float32 scalar, the mean over the batch.

    Example:
        >>> from semenet.training.unlearning import AttentionOutsideLungs
        >>> activation = np.array([[[3.0, 1.0]]], "float32")
        >>> float(AttentionOutsideLungs()(np.array([[[1, 0]]]), activation))
        0.25
    """

    def __init__(self) -> None:
        super().__init__(name="attention_outside_lungs", dtype="float32")

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        lungs = resize(y_true[..., None], tuple(y_pred.shape[1:3]))[..., 0]
        outside = ops.sum(y_pred * (1.0 - lungs), axis=(1, 2))
        return outside / ops.maximum(ops.sum(y_pred, axis=(1, 2)), _SMALLEST)
