"""The input gate: whether an image is what the networks were made for, an upright frontal radiograph."""

import importlib.resources

import numpy as np
import tensorflow as tf

from semenet.data.pipeline.datasets import prepare

# In the order in which one of several is given as the reason.
CODES = (
    "too_small",
    "wrong_range",
    "colour_photograph",
    "inverted",
    "turned",
    "lateral",
    "not_a_radiograph",
)
# Below this side, in pixels, a radiograph has lost what the networks look for.
LEAST_SIDE = 96
# Fewer grey levels than this between the darkest and the lightest cell of the thumbnail: 12 bits kept in 16
# have at most 16, and of 7,001 radiographs the one with the fewest has 92.
LEAST_RANGE = 32
# Rejected below this probability of a frontal radiograph. docs/serving.md has what it lets pass.
LEAST_FRONTAL = 0.1
SIDE = 64
SEEN = ("frontal", "inverted", "turned", "lateral", "not_a_radiograph")
_WEIGHTS = "input_gate.npz"
_LEAST_DEVIATION = 4.0


def gate_input(image, coloured=False):
    """What the gate looks at, of one image.

    Args:
        image: uint8 `(height, width)`, values in [0, 255].
        coloured: whether the file has colours, see `semenet.data.images.colour`.

    Returns:
        uint8 `(SIDE, SIDE, 1)`, the thumbnail; and bool `(2,)`: whether the image is coloured, and whether
        its shorter side has fewer than `LEAST_SIDE` pixels.
    """
    return prepare(image, (SIDE, SIDE)), np.array([coloured, min(image.shape) < LEAST_SIDE])


def gate_graph():
    """Makes the graph that tells what is wrong with images.

    The thumbnail, standardised by its own mean and deviation, goes through a network of four convolutions,
    made by tools/input_gate/train.py, that tells frontal radiographs from inverted, turned and lateral
    ones and
    from other pictures. Nothing tells a mirrored radiograph from one of a heart on the right.

    Returns:
        A function of thumbnails, uint8 `(N, SIDE, SIDE, 1)`, and of bool `(N, 2)`, both as `gate_input` gives
        them, to bool `(N, len(CODES))`: true where the image has what the code names, of the last four at
        most one.
    """
    probabilities = frontal_network()

    def gate(thumbnails, facts):
        seen = probabilities(thumbnails)
        rejected = seen[:, 0] < LEAST_FRONTAL
        likeliest = tf.argmax(seen[:, 1:], axis=1, output_type=tf.int32)
        otherwise = tf.one_hot(likeliest, len(SEEN) - 1, on_value=True, off_value=False, dtype=tf.bool)
        greys = tf.cast(thumbnails, tf.int32)
        spread = tf.reduce_max(greys, axis=(1, 2, 3)) - tf.reduce_min(greys, axis=(1, 2, 3))
        simple = tf.stack([facts[:, 1], spread < LEAST_RANGE, facts[:, 0]], axis=1)
        return tf.concat([simple, otherwise & rejected[:, tf.newaxis]], axis=1)

    return gate


def frontal_network():
    """Makes the graph of the gate's own network, with the weights in this package.

    Returns:
        A function of thumbnails, uint8 `(N, SIDE, SIDE, 1)`, to probabilities of `SEEN`, float32 `(N, 5)`.
    """
    with importlib.resources.files(__package__).joinpath(_WEIGHTS).open("rb") as file:
        weights = {name: np.float32(values) for name, values in np.load(file).items() if name != "about"}
    *convolutions, head = sorted(name.removesuffix("_kernel") for name in weights if name.endswith("_kernel"))

    def network(thumbnails):
        values = standardised(tf.cast(thumbnails, tf.float32))
        for name in convolutions:
            values = tf.nn.conv2d(values, weights[f"{name}_kernel"], strides=2, padding="SAME")
            values = tf.nn.relu(values + weights[f"{name}_bias"])
        values = tf.nn.avg_pool2d(values, 2, 2, "VALID")
        kernel = weights[f"{head}_kernel"]
        values = tf.reshape(values, (-1, kernel.shape[0]))
        return tf.nn.softmax(values @ kernel + weights[f"{head}_bias"])

    return network


def standardised(thumbnails):
    """Thumbnails less their own mean, over their own deviation: float32 of the same shape."""
    mean, variance = tf.nn.moments(thumbnails, axes=(1, 2, 3), keepdims=True)
    return (thumbnails - mean) / tf.maximum(tf.sqrt(variance), _LEAST_DEVIATION)
