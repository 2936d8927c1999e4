"""Measures receptive fields by gradients: which pixels a feature map cell depends on, and how strongly."""

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.models.receptive_fields import cell_field, receptive_field

SHARE = 0.95


def measured_field(model, layer="features", cell=None, input_size=None):
    """Measures the pixels that a cell depends on, by the gradient of a linear copy of the network.

    The gradient of the network itself is 0 at pixels that a ReLU or a maximum ignores. The copy has linear
    activations, means in place of maxima over the same windows, and positive kernels. The gradient through
    gates computed from globally pooled features is stopped. The copy computes in float64, because the
    gradient of a far corner in DenseNet169 is about 1e-45.

    Args:
        model: a flat functional model with one input, as for `receptive_field`; its weights are not used.
        layer: name of a layer with a feature map.
        cell: (row, column) in the feature map; None for the middle one.
        input_size: (height, width) in pixels; None for the model's own.

    Returns:
        ((top, bottom), (left, right)): the first and last row and column with a gradient.

    Raises:
        ValueError: as `receptive_field`.
    """
    field = receptive_field(model, layer, input_size)
    cell = tuple(count // 2 for count in field.cells) if cell is None else cell
    channels = model.inputs[0].shape[-1]
    copy = keras.models.clone_model(
        keras.Model(model.inputs[0], model.get_layer(layer).output),
        input_tensors=keras.Input((*field.input_size, channels), dtype="float64"),
        clone_function=_linear,
    )
    for variable in copy.variables:
        if variable.path.endswith("kernel"):
            variable.assign(np.full(variable.shape, 1 / np.prod(variable.shape[:-1])))
    image = np.ones((1, *field.input_size, channels))
    gradient = _gradient(copy, image, cell, tf.float64)[0].any(axis=-1)
    rows, columns = (np.flatnonzero(gradient.any(axis=axis)) for axis in (1, 0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def effective_field(model, images, layer="features", cell=None, share=SHARE):
    """Measures the effective receptive field: the square that holds most of the gradient's energy.

    The gradient is taken of the cell's sum over channels. Its energy at a pixel is its square, summed over
    images and channels.

    Args:
        model: a flat functional model on the TensorFlow backend, with its trained weights.
        images: `(N, H, W, C)`, values in [0, 255], the model's input.
        layer: name of a layer with a feature map.
        cell: (row, column) in the feature map; None for the middle one.
        share: float in (0, 1), the share of the energy inside the square.

    Returns:
        (side, energy): int, the side in pixels (an odd number) of the smallest square around the cell's
        centre that holds `share` of the energy; and the energy, float64 `(H, W)` with sum 1.

    Raises:
        ValueError: as `receptive_field`, or the cell's gradient is 0 for all images.

    Reference:
        Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
        https://arxiv.org/abs/1701.04128
    """
    images = np.asarray(images)
    field = receptive_field(model, layer, images.shape[1:3])
    cell = tuple(count // 2 for count in field.cells) if cell is None else cell
    cell_field(model, layer, cell, images.shape[1:3])
    tap = keras.Model(model.inputs[0], model.get_layer(layer).output)
    energy = np.zeros(images.shape[1:3])
    for image in images:
        gradient = _gradient(tap, image[None], cell, tf.float32)
        energy += np.square(gradient.astype(np.float64)).sum(axis=(0, -1))
    if not energy.any():
        raise SemenetError(
            "An effective field needs a gradient. "
            f"Received: cell {tuple(cell)} of {layer!r}, whose gradient is 0 for all {len(images)} images, "
            "because none of its units is active. Use other images, or a trained network."
        )
    energy /= energy.sum()
    distances = [
        np.abs(np.arange(length) - (start + index * stride))
        for length, index, start, stride in zip(energy.shape, cell, field.start, field.stride, strict=True)
    ]
    distance = np.maximum(distances[0][:, None], distances[1]).ravel()
    order = np.argsort(distance, kind="stable")
    reached = np.searchsorted(np.cumsum(energy.ravel()[order]), share)
    return 2 * int(np.floor(distance[order][min(reached, len(order) - 1)])) + 1, energy


def _gradient(model, images, cell, dtype):
    row, column = cell
    images = tf.convert_to_tensor(images, dtype)
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = tf.reduce_sum(model(images, training=False)[:, row, column])
    return tape.gradient(score, images).numpy()


class _HeldPooling(keras.layers.GlobalAveragePooling2D):
    """Global average pooling without a gradient."""

    def call(self, inputs):
        return tf.stop_gradient(super().call(inputs))


def _linear(layer):
    """Returns the linear counterpart of a layer."""
    config = layer.get_config() | {"dtype": "float64"}
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return _HeldPooling.from_config(config)
    if isinstance(layer, keras.layers.MaxPooling2D):
        return keras.layers.AveragePooling2D.from_config(config)
    # A linear gate could be 0 and hide the features that it scales, so a sigmoid stays.
    if config.get("activation") == "relu":
        config["activation"] = "linear"
    return type(layer).from_config(config)
