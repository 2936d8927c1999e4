"""TensorFlow graphs of class activation maps, to be traced in other graphs.

All are computed in float32 from the feature map on, whatever the dtype policy of the model.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.heat_maps.explained_layers import (
    check_pooled,
    dense_head,
    feature_map,
    is_pooled,
    layer_name,
)

# From a float32 tensor of images and int32 class indices (-1: the predicted class) to maps and outputs.
ExplainGraph = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# From feature maps (N, h, w, C) and the gradients of the class score to weights, (N, 1, 1, C) if a method
# weights channels, and (N, h, w, C) if it weights the cells of each channel.
FeatureWeights = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def class_map_network(
    model: keras.Model, layer: str = "features"
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a graph function that computes a model's outputs and the class activation maps of all classes.

    Args:
        model: a classifier whose dense `head` follows the global average pooling of `layer`.
        layer: name of the pooled layer.

    Returns:
        A function from a tensor of images to the model's outputs `(N, K)` and, float32 `(N, h, w, K)`, the
        maps of all classes before `scaled`.

    Raises:
        SemenetError: the model has another head, or another layer is pooled.
    """
    head = dense_head(model)
    check_pooled(model, layer, head)
    both = keras.Model(model.inputs[0], [model.outputs[0], feature_map(model, layer).output])

    def network(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs, features = both(images, training=False)
        return outputs, _class_maps(head, features)

    return network


def heat_map_network(
    model: keras.Model, layer: str | int = "features", method: str | None = None
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a graph function that computes a model's outputs and the heat maps of the predicted classes.

    Args:
        model: a classifier with a dense layer `head`.
        layer: name or stride of the layer whose feature map is weighted.
        method: "cam" or a key of `FEATURE_WEIGHTS`; None for `default_method`.

    Returns:
        A function from a float32 tensor of images to the model's outputs `(N, K)` and the maps, float32
        `(N, h, w)` in [0, 1]. Those of "cam" need no gradient.

    Raises:
        SemenetError: the model has no dense `head`, no feature map of that name on the way to it, or, for
            "cam", another head.
    """
    layer = layer_name(model, layer)
    if (method or default_method(model, layer)) == "cam":
        network = class_map_network(model, layer)

        def explain(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs, maps = network(images)
            return outputs, scaled(tf.gather(maps, tf.argmax(outputs, axis=1), axis=3, batch_dims=1))

        return explain
    by_gradient = gradient_graph(model, layer, FEATURE_WEIGHTS[method or "grad-cam"])

    def explain_by_gradient(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        heat, outputs = by_gradient(images, tf.fill(tf.shape(images)[:1], -1))
        return outputs, heat

    return explain_by_gradient


def default_method(model: keras.Model, layer: str = "features") -> str:
    """Returns "cam", which needs no gradient, if the head pools `layer`, and "grad-cam" otherwise."""
    return "cam" if is_pooled(model) and layer == "features" else "grad-cam"


def gradient_graph(model: keras.Model, layer: str, feature_weights: FeatureWeights) -> ExplainGraph:
    """Returns the graph function of a method that weights a feature map by gradients.

    Args:
        model: a classifier with a dense layer `head`, on the TensorFlow backend.
        layer: name of the layer whose feature map is weighted.
        feature_weights: a value of `FEATURE_WEIGHTS`.

    Returns:
        A function of images and class indices that returns the maps `(N, h, w)` in [0, 1] and the outputs
        `(N, K)`.

    Raises:
        SemenetError: as for `heat_map_network`, or Keras runs on another backend.
    """
    gradients = feature_gradients(model, layer)

    def explain(images: tf.Tensor, class_index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, gradient, outputs = gradients(images, class_index)
        return weighted_map(features, gradient, feature_weights), outputs

    return explain


def weighted_map(features: tf.Tensor, gradient: tf.Tensor, feature_weights: FeatureWeights) -> tf.Tensor:
    """Returns the map `(N, h, w)` in [0, 1]: the weighted sum of a feature map over its channels."""
    return scaled(tf.reduce_sum(features * feature_weights(features, gradient), axis=-1))


def feature_gradients(
    model: keras.Model, layer: str
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Returns the graph function of a feature map and the gradient of a class score with respect to it.

    Args:
        model: as for `gradient_graph`.
        layer: as for `gradient_graph`.

    Returns:
        A function of images and class indices (-1: the predicted class) that returns the feature map and the
        gradient of the score before softmax or sigmoid, both float32 `(N, h, w, C)`, and the outputs
        `(N, K)`.

    Raises:
        SemenetError: as for `gradient_graph`.
    """
    head, taps = _taps(model, layer)

    def gradients(images: tf.Tensor, class_index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # In a graph, only the operations between feature map and score are differentiated.
            tape.watch(images)
            features, vector = taps(images, training=False)
            logits = _logits(head, vector)
            score = tf.reduce_sum(tf.gather(logits, _chosen(logits, class_index), axis=1, batch_dims=1))
            # The gradient of a mean over positions is small and would underflow in float16.
            positions = tf.cast(tf.reduce_prod(tf.shape(features)[1:3]), tf.float32)
            score *= positions
        gradient = tape.gradient(score, features)
        if gradient is None:
            raise SemenetError(
                "The explained layer must lie between the model's input and `head`. "
                f"Received: {layer!r}, which does not feed `head`. Use 'features'."
            )
        gradient = tf.cast(gradient, tf.float32) / positions
        return tf.cast(features, tf.float32), gradient, head.activation(logits)

    return gradients


def class_map_graph(model: keras.Model, layer: str, all_classes: bool) -> ExplainGraph:
    """Returns the graph function of class activation mapping.

    Args:
        model: as for `class_map_network`.
        layer: as for `class_map_network`.
        all_classes: whether to return the maps of all classes and ignore the class indices.

    Returns:
        A function of images and class indices that returns the maps in [0, 1], `(N, h, w)` or
        `(N, h, w, K)`, and the outputs `(N, K)`.

    Raises:
        SemenetError: as for `class_map_network`, or Keras runs on another backend.
    """
    head, taps = _taps(model, layer)
    check_pooled(model, layer, head)

    def explain(images: tf.Tensor, class_index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, vector = taps(images, training=False)
        logits = _logits(head, vector)
        heat = _class_maps(head, features)
        if not all_classes:
            heat = tf.gather(heat, _chosen(logits, class_index), axis=3, batch_dims=1)
        return scaled(heat), head.activation(logits)

    return explain


def mean_gradient(features: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Returns the channel weights of Grad-CAM: the mean gradient over the positions, `(N, 1, 1, C)`."""
    return tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)


def positive_gradient_weights(features: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Returns the channel weights of Grad-CAM++, `(N, 1, 1, C)`."""
    # Numerator and denominator are divided by g^2, because powers of a small gradient would underflow.
    denominator = 2 + gradient * tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    alpha = tf.where(gradient == 0, 0.0, tf.math.divide_no_nan(1.0, denominator))
    alpha = tf.math.divide_no_nan(alpha, tf.reduce_sum(alpha, axis=(1, 2), keepdims=True))
    return tf.reduce_sum(alpha * tf.nn.relu(gradient), axis=(1, 2), keepdims=True)


def cell_gradient(features: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Returns the weights of HiResCAM: the gradient of each cell, `(N, h, w, C)`."""
    return gradient


def positive_cell_gradient(features: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Returns the weights of LayerCAM: the gradient of each cell where it is positive, `(N, h, w, C)`."""
    return tf.nn.relu(gradient)


# The weights of the methods that use gradients, by the methods' names on the command line.
FEATURE_WEIGHTS: dict[str, FeatureWeights] = {
    "grad-cam": mean_gradient,
    "grad-cam++": positive_gradient_weights,
    "layer-cam": positive_cell_gradient,
    "hires-cam": cell_gradient,
}


def scaled(heat: tf.Tensor) -> tf.Tensor:
    """Sets negative values to 0 and divides each map by its maximum; float32 `(N, h, w, ...)` in [0, 1]."""
    heat = tf.nn.relu(heat)
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))


def _taps(model: keras.Model, layer: str) -> tuple[keras.layers.Dense, keras.Model]:
    """Returns the head, and a model that outputs the layer's feature map and the head's input."""
    if keras.backend.backend() != "tensorflow":
        raise SemenetError(
            "Class activation maps need the TensorFlow backend, which computes their gradients. "
            f"Received: Keras on the {keras.backend.backend()} backend. Set KERAS_BACKEND=tensorflow; "
            "models trained on other backends can be loaded there."
        )
    head = dense_head(model)
    return head, keras.Model(model.inputs[0], [feature_map(model, layer).output, head.input])


def _class_maps(head: keras.layers.Dense, features: tf.Tensor) -> tf.Tensor:
    return tf.einsum("nhwc,ck->nhwk", tf.cast(features, tf.float32), tf.convert_to_tensor(head.kernel))


def _logits(head: keras.layers.Dense, vector: tf.Tensor) -> tf.Tensor:
    logits = tf.matmul(tf.cast(vector, tf.float32), tf.convert_to_tensor(head.kernel))
    return logits + tf.convert_to_tensor(head.bias) if head.use_bias else logits


def _chosen(logits: tf.Tensor, class_index: tf.Tensor) -> tf.Tensor:
    """Returns the class indices, with the predicted class in place of -1."""
    return tf.where(class_index < 0, tf.argmax(logits, axis=1, output_type=tf.int32), class_index)
