"""The input gate: checks that an image is an upright frontal radiograph."""

import importlib.resources
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from semenet.data.pipeline.datasets import prepare_image

# In order of precedence: where several apply, the first is reported as the reason.
CODES = (
    "too_small",
    "wrong_range",
    "colour_photograph",
    "inverted",
    "turned",
    "lateral",
    "not_a_radiograph",
)
# Shortest accepted side in pixels: a smaller radiograph has lost the detail that the networks use.
MIN_SIDE = 96
# Smallest accepted difference between the darkest and the brightest cell of the thumbnail, in grey levels:
# 12 bits stored in 16 span at most 16 levels, while the lowest value among 7,001 radiographs is 92.
MIN_RANGE = 32
# Images with a lower probability of a frontal radiograph are rejected. docs/serving.md lists error rates, and
# those of other values.
MIN_FRONTAL_PROBABILITY = 0.6
SIDE = 64
GATE_CLASSES = ("frontal", "inverted", "turned", "lateral", "not_a_radiograph")
_WEIGHTS = "input_gate.npz"
_MIN_DEVIATION = 4.0


def gate_input(image: np.ndarray, coloured: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Prepares one image for the gate.

    Args:
        image: uint8 `(H, W)` in [0, 255].
        coloured: whether the file is in colour, see `semenet.data.images.colour`.

    Returns:
        The thumbnail, uint8 `(SIDE, SIDE, 1)`; and bool `(2,)`: whether the image is coloured, and whether
        its shorter side has fewer than `MIN_SIDE` pixels.
    """
    return prepare_image(image, (SIDE, SIDE)), np.array([coloured, min(image.shape) < MIN_SIDE])


def gate_graph() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the graph function that detects unsuitable images.

    The thumbnail, standardized by its own mean and standard deviation, passes through a network of four
    convolutions, trained by tools/input_gate/train.py, which separates frontal radiographs from inverted,
    turned and lateral ones and from other pictures. It cannot detect a mirrored radiograph, which looks like
    a patient with the heart on the right.

    Returns:
        A function of thumbnails, uint8 `(N, SIDE, SIDE, 1)`, and of bool `(N, 2)`, both as returned by
        `gate_input`, to bool `(N, len(CODES))`, true where the code applies. At most one of the last four
        codes is true for an image.
    """
    classify = frontal_network()

    def gate(thumbnails: tf.Tensor, flags: tf.Tensor) -> tf.Tensor:
        probabilities = classify(thumbnails)
        rejected = probabilities[:, 0] < MIN_FRONTAL_PROBABILITY
        likeliest = tf.argmax(probabilities[:, 1:], axis=1, output_type=tf.int32)
        depth = len(GATE_CLASSES) - 1
        otherwise = tf.one_hot(likeliest, depth, on_value=True, off_value=False, dtype=tf.bool)
        levels = tf.cast(thumbnails, tf.int32)
        spread = tf.reduce_max(levels, axis=(1, 2, 3)) - tf.reduce_min(levels, axis=(1, 2, 3))
        by_rule = tf.stack([flags[:, 1], spread < MIN_RANGE, flags[:, 0]], axis=1)
        return tf.concat([by_rule, otherwise & rejected[:, tf.newaxis]], axis=1)

    return gate


def frontal_network() -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the graph function of the gate's network, with the weights that ship in this package.

    Returns:
        A function from thumbnails, uint8 `(N, SIDE, SIDE, 1)`, to the probabilities of `GATE_CLASSES`,
        float32 `(N, 5)`.
    """
    with importlib.resources.files(__package__).joinpath(_WEIGHTS).open("rb") as file:
        weights = {name: np.float32(values) for name, values in np.load(file).items() if name != "about"}
    *convolutions, head = sorted(name.removesuffix("_kernel") for name in weights if name.endswith("_kernel"))

    def network(thumbnails: tf.Tensor) -> tf.Tensor:
        values = standardize(tf.cast(thumbnails, tf.float32))
        for name in convolutions:
            values = tf.nn.conv2d(values, weights[f"{name}_kernel"], strides=2, padding="SAME")
            values = tf.nn.relu(values + weights[f"{name}_bias"])
        values = tf.nn.avg_pool2d(values, 2, 2, "VALID")
        kernel = weights[f"{head}_kernel"]
        values = tf.reshape(values, (-1, kernel.shape[0]))
        return tf.nn.softmax(values @ kernel + weights[f"{head}_bias"])

    return network


def standardize(thumbnails: tf.Tensor) -> tf.Tensor:
    """Subtracts each thumbnail's mean and divides by its standard deviation; float32, same shape."""
    mean, variance = tf.nn.moments(thumbnails, axes=(1, 2, 3), keepdims=True)
    return (thumbnails - mean) / tf.maximum(tf.sqrt(variance), _MIN_DEVIATION)
