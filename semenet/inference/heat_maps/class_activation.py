"""Class activation maps: which cells of a feature map support a class.

There are five methods, each traced once for batches of any size. A map holds the positive evidence for the
class (ReLU), divided by its maximum; a map without positive evidence is 0 everywhere. The strength of maps of
different images can therefore not be compared.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.heat_maps.explained_layers import dense_head
from semenet.inference.heat_maps.graphs import (
    FEATURE_WEIGHTS,
    ExplainGraph,
    class_map_graph,
    gradient_graph,
)

# From images and, optionally, class indices to maps and outputs; see `grad_cam_function`.
ExplainFunction = Callable[..., tuple[np.ndarray, np.ndarray]]


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray | None = None,
    layer: str | int = "features",
) -> np.ndarray:
    """Computes Grad-CAM heat maps of a batch of images.

    For many batches, use `grad_cam_function`, which traces the model only once.

    Args:
        model: a classifier with a dense layer `head`, such as `semenet.build` returns.
        images: `(N, H, W, C)` with values in [0, 255], in the input size of the model.
        class_index: the class to explain: an int, or one for each image, `(N,)`; None explains the predicted
            class.
        layer: name of the layer whose feature map is weighted, or its stride.

    Returns:
        float32 array `(N, h, w)` in [0, 1], in the size of the feature map.

    Raises:
        SemenetError: as for `grad_cam_function`, or the images or classes do not fit the model.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1))
        >>> heat_maps = semenet.grad_cam(model, images)
        >>> heat_maps.shape
        (2, 2, 2)
    """
    heat, _ = grad_cam_function(model, layer)(images, class_index)
    return heat


def grad_cam_function(model: keras.Model, layer: str | int = "features") -> ExplainFunction:
    """Returns a function that computes Grad-CAM, traced once for batches of any size.

    A map is the weighted sum of the feature map's channels, with the mean gradient of the class score
    (before softmax or sigmoid) as weights. For a head after global average pooling it equals, up to scale,
    the class activation map.

    Args:
        model: a classifier with a dense layer `head`, on the TensorFlow backend.
        layer: name of the layer whose feature map is weighted, or its stride.

    Returns:
        A function of `images` and `class_index=None` (see `grad_cam`) that returns the maps, a float32 array
        `(N, h, w)` in [0, 1], and the outputs of the model, a float32 array `(N, K)`.

    Raises:
        SemenetError: the model has no dense `head`, or no feature map of that name on the way to it, or
            Keras runs on another backend.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> explain = semenet.inference.grad_cam_function(model)
        >>> heat_maps, outputs = explain(np.zeros((3, 64, 64, 1)), class_index=1)
        >>> heat_maps.shape, outputs.shape
        ((3, 2, 2), (3, 3))

    Reference:
        Selvaraju et al., "Grad-CAM", https://arxiv.org/abs/1610.02391, section 3.
    """
    return _traced(model, gradient_graph(model, layer, FEATURE_WEIGHTS["grad-cam"]))


def grad_cam_plus_plus_function(model: keras.Model, layer: str | int = "features") -> ExplainFunction:
    """Returns a function that computes Grad-CAM++, traced once for batches of any size.

    The weight of a channel is the sum of its positive gradients, each weighted by
    `alpha = g^2 / (2 g^2 + g^3 * sum(A))`, scaled to a sum of 1 over the channel's positions as in the
    authors' code. This closed form takes `exp(score)` as the class score, so that all derivatives are powers
    of g, the gradient of the score before softmax or sigmoid. The common factor `exp(score)` cancels when
    the map is divided by its maximum.

    Args:
        model: as for `grad_cam_function`.
        layer: as for `grad_cam_function`.

    Returns:
        A function as returned by `grad_cam_function`.

    Raises:
        SemenetError: as for `grad_cam_function`.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> explain = semenet.inference.grad_cam_plus_plus_function(model)
        >>> heat_maps, outputs = explain(np.zeros((3, 64, 64, 1)))
        >>> heat_maps.shape
        (3, 2, 2)

    Reference:
        Chattopadhay et al., "Grad-CAM++", https://arxiv.org/abs/1710.11063, equations 10 to 19;
        https://github.com/adityac94/Grad_CAM_plus_plus
    """
    return _traced(model, gradient_graph(model, layer, FEATURE_WEIGHTS["grad-cam++"]))


def layer_cam_function(model: keras.Model, layer: str | int = "features") -> ExplainFunction:
    """Returns a function that computes LayerCAM, traced once for batches of any size.

    Each cell of each channel is weighted by its own gradient where that is positive. The weights differ from
    cell to cell, so that maps of early layers, whose cells are small, are still placed at the evidence.

    Args:
        model: as for `grad_cam_function`.
        layer: as for `grad_cam_function`.

    Returns:
        A function as returned by `grad_cam_function`.

    Raises:
        SemenetError: as for `grad_cam_function`.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> explain = semenet.inference.layer_cam_function(model, layer=8)
        >>> heat_maps, outputs = explain(np.zeros((3, 64, 64, 1)))
        >>> heat_maps.shape
        (3, 8, 8)

    Reference:
        Jiang et al., "LayerCAM", https://doi.org/10.1109/TIP.2021.3089943, equations 5 to 8.
    """
    return _traced(model, gradient_graph(model, layer, FEATURE_WEIGHTS["layer-cam"]))


def hires_cam_function(model: keras.Model, layer: str | int = "features") -> ExplainFunction:
    """Returns a function that computes HiResCAM, traced once for batches of any size.

    Each cell of each channel is weighted by its own gradient, positive or negative: the first-order
    contribution of the cell to the class score. For a head after global average pooling and its layer, it
    equals the class activation map.

    Args:
        model: as for `grad_cam_function`.
        layer: as for `grad_cam_function`.

    Returns:
        A function as returned by `grad_cam_function`.

    Raises:
        SemenetError: as for `grad_cam_function`.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> explain = semenet.inference.hires_cam_function(model, layer="block4_conv4")
        >>> heat_maps, outputs = explain(np.zeros((3, 64, 64, 1)))
        >>> heat_maps.shape
        (3, 8, 8)

    Reference:
        Draelos and Carin, "Use HiResCAM instead of Grad-CAM", https://arxiv.org/abs/2011.08891, section 3.
    """
    return _traced(model, gradient_graph(model, layer, FEATURE_WEIGHTS["hires-cam"]))


def cam_function(
    model: keras.Model, layer: str | int = "features", all_classes: bool = False
) -> ExplainFunction:
    """Returns a function that computes class activation maps in one forward pass, without gradients.

    A map is the weighted sum of the feature map's channels, with the class's weights in the head's kernel.
    It equals the Grad-CAM of the same network.

    Args:
        model: a classifier whose dense `head` follows the global average pooling of `layer`.
        layer: name of the pooled layer.
        all_classes: whether to return the maps of all classes at once, each divided by its own maximum.

    Returns:
        A function as returned by `grad_cam_function`. With `all_classes` it takes no class, and its maps are
        a float32 array `(N, h, w, K)`.

    Raises:
        SemenetError: as for `grad_cam_function`, or for another head.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> explain = semenet.inference.cam_function(model, all_classes=True)
        >>> heat_maps, outputs = explain(np.zeros((3, 64, 64, 1)))
        >>> heat_maps.shape
        (3, 2, 2, 3)

    Reference:
        Zhou et al., "Learning Deep Features for Discriminative Localization",
        https://arxiv.org/abs/1512.04150, section 2.
    """
    explain = _traced(model, class_map_graph(model, layer, all_classes))
    return (lambda images: explain(images)) if all_classes else explain


def check_finite(model: keras.Model, *arrays: np.ndarray) -> None:
    """Raises `SemenetError` if an array that a network computed contains NaN or infinity."""
    if not all(np.isfinite(values).all() for values in arrays):
        raise SemenetError(
            f"A network's features and outputs must be finite. Received: `{model.name}`, which returns "
            "NaN or infinity for these images. Its training diverged: lower the learning rate."
        )


# The methods by their names on the command line.
METHODS = {
    "grad-cam": grad_cam_function,
    "grad-cam++": grad_cam_plus_plus_function,
    "cam": cam_function,
    "layer-cam": layer_cam_function,
    "hires-cam": hires_cam_function,
}


def _traced(model: keras.Model, graph: ExplainGraph) -> ExplainFunction:
    """Returns the function of arrays for a graph, which is traced at the first call."""
    inputs = tf.TensorSpec(model.inputs[0].shape, tf.float32)
    signature = [inputs, tf.TensorSpec((None,), tf.int32)]
    traced = tf.function(graph, input_signature=signature, autograph=False)
    classes = dense_head(model).kernel.shape[-1]

    def explain(
        images: np.ndarray, class_index: int | np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(images)
        if not inputs.shape.is_compatible_with(images.shape):
            raise SemenetError(
                f"Images must have the shape {tuple(inputs.shape)} of the model's input (None: any number). "
                f"Received: shape {images.shape} for `{model.name}`. Resize them first."
            )
        index = _class_indices(class_index, len(images), classes)
        heat, outputs = (value.numpy() for value in traced(tf.cast(images, tf.float32), index))
        check_finite(model, heat, outputs)
        return heat, outputs

    return explain


def _class_indices(class_index: int | np.ndarray | None, count: int, classes: int) -> np.ndarray:
    """Returns int32 `(count,)`, -1 for the predicted class."""
    if class_index is None:
        return np.full(count, -1, np.int32)
    index = np.asarray(class_index)
    if (
        index.dtype.kind not in "iu"
        or index.shape not in ((), (count,))
        or np.any((index < 0) | (index >= classes))
    ):
        raise SemenetError(
            f"`class_index` must be an integer in [0, {classes}), or one for each of the {count} images. "
            f"Received: {class_index!r}. Omit it to explain the predicted class."
        )
    return np.broadcast_to(index, count).astype(np.int32)
