"""Class activation maps: which cells of a feature map spoke for a class.

Three methods, each traced once for batches of any size. A map is what speaks for the class (ReLU), divided
by its highest value; one without positive value is 0 throughout. Maps of different images thus do not
compare in strength. All are computed in float32 from the feature map on, whatever the policy.
"""

import keras
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError
from semenet.inference.explained_layers import check_pooled, dense_head, feature_map, is_pooled


def grad_cam(model, images, class_index=None, layer="features"):
    """Heat maps of a batch of images; `grad_cam_function` serves many batches with one tracing.

    Args:
        model: a classifier with a dense layer `head`.
        images: `(N, H, W, C)`, values in [0, 255], as the model takes them.
        class_index: the class to explain: an int, or one for each image `(N,)`; None for the class
            predicted.
        layer: name of the layer whose feature map is weighted.

    Returns:
        float32 array `(N, h, w)` in [0, 1], the feature map's size. See `grad_cam_function`.

    Raises:
        ValueError: as `grad_cam_function`, and for images or classes that do not fit the model.
    """
    heat, _ = grad_cam_function(model, layer)(images, class_index)
    return heat


def grad_cam_function(model, layer="features"):
    """Prepares Grad-CAM of a model: traced once, for batches of any size.

    A map is the feature map's channels, added up with the mean gradient of the class's score (before
    softmax or sigmoid) as their weights. For a head of global average pooling it is, up to scale, the
    class activation map.

    Args:
        model: a classifier with a dense layer `head`, on the TensorFlow backend.
        layer: name of the layer whose feature map is weighted.

    Returns:
        A function of `images` and `class_index=None` (see `grad_cam`) that returns the maps, float32
        array `(N, h, w)` in [0, 1], and the model's outputs, float32 array `(N, K)`.

    Raises:
        ValueError: if the model has no dense `head`, or no such layer with a feature map on the
            way to it, or Keras runs on another backend.

    Reference:
        Selvaraju et al., "Grad-CAM", https://arxiv.org/abs/1610.02391, section 3.
    """
    return _by_gradient(model, layer, _mean_gradient)


def grad_cam_plus_plus_function(model, layer="features"):
    """Prepares Grad-CAM++ of a model: traced once, for batches of any size.

    A channel's weight is the sum of its positive gradients, each with the weight
    `alpha = g^2 / (2 g^2 + g^3 * sum(A))`, scaled to a sum of 1 over the channel's positions as in the
    authors' code. This closed form takes `exp(score)` for the class's score, so that all its derivatives are
    powers of g, the gradient of the score before softmax or sigmoid; their common factor `exp(score)`
    falls out when the map is divided by its highest value.

    Args:
        model: as for `grad_cam_function`.
        layer: as for `grad_cam_function`.

    Returns:
        A function, as of `grad_cam_function`.

    Raises:
        ValueError: as `grad_cam_function`.

    Reference:
        Chattopadhay et al., "Grad-CAM++", https://arxiv.org/abs/1710.11063, equations 10 to 19;
        https://github.com/adityac94/Grad_CAM_plus_plus
    """
    return _by_gradient(model, layer, _weights_of_positive_gradients)


def cam_function(model, layer="features", all_classes=False):
    """Prepares class activation mapping of a model: no gradient, one forward pass for maps and outputs.

    A map is the feature map's channels, added up with the class's row of the head's kernel as their
    weights. It is what Grad-CAM gives for the same network.

    Args:
        model: a classifier whose dense `head` follows the global average pooling of `layer`.
        layer: name of the layer that is pooled.
        all_classes: bool, whether to give the maps of all classes at once, each divided by its own highest
            value.

    Returns:
        A function, as of `grad_cam_function`; with `all_classes` it takes no class, and its maps are a
        float32 array `(N, h, w, K)`.

    Raises:
        ValueError: as `grad_cam_function`, or for a head of another kind.

    Reference:
        Zhou et al., "Learning Deep Features for Discriminative Localization",
        https://arxiv.org/abs/1512.04150, section 2.
    """
    head, taps = _taps(model, layer)
    check_pooled(model, layer, head)

    def explain(images, class_index):
        features, vector = taps(images, training=False)
        logits = _logits(head, vector)
        heat = _class_maps(head, features)
        if not all_classes:
            heat = tf.gather(heat, _chosen(logits, class_index), axis=3, batch_dims=1)
        return scaled(heat), head.activation(logits)

    run = _traced(model, head, explain)
    return (lambda images: run(images)) if all_classes else run


def class_map_network(model, layer="features"):
    """A model whose class activation maps come with its outputs, to be traced in a graph of another's.

    Args:
        model: as for `cam_function`.
        layer: as for `cam_function`.

    Returns:
        A function from a tensor of images to the model's own outputs `(N, K)` and, float32 `(N, h, w, K)`,
        the maps of all classes before `scaled`.

    Raises:
        ValueError: as `cam_function`.
    """
    head = dense_head(model)
    check_pooled(model, layer, head)
    both = keras.Model(model.inputs[0], [model.outputs[0], feature_map(model, layer).output])

    def network(images):
        outputs, features = both(images, training=False)
        return outputs, _class_maps(head, features)

    return network


def heat_map_network(model, layer="features"):
    """A model whose heat maps for the classes predicted come with its outputs, to be traced in another graph.

    Args:
        model: as for `grad_cam_function`.
        layer: as for `grad_cam_function`.

    Returns:
        A function from a float32 tensor of images to the model's outputs `(N, K)` and, float32 `(N, h, w)` in
        [0, 1], the maps: class activation maps where the head follows a global average pooling of the layer,
        which cost nothing, else Grad-CAM, of which they are an instance.

    Raises:
        ValueError: as `grad_cam_function`.
    """
    if is_pooled(model):
        network = class_map_network(model, layer)

        def explain(images):
            outputs, maps = network(images)
            return outputs, scaled(tf.gather(maps, tf.argmax(outputs, axis=1), axis=3, batch_dims=1))

        return explain
    by_gradient = _gradient_graph(model, layer, _mean_gradient)

    def explain_by_gradient(images):
        heat, outputs = by_gradient(images, tf.fill(tf.shape(images)[:1], -1))
        return outputs, heat

    return explain_by_gradient


def scaled(heat):
    """What speaks for the class, divided by its highest value: float32 tensor `(N, h, w, ...)` in [0, 1]."""
    heat = tf.nn.relu(heat)
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))


def check_finite(model, *values):
    """Refuses a network that gives arrays with NaN or infinity, with ValueError."""
    if not all(np.isfinite(each).all() for each in values):
        raise SemenetError(
            f"A network's features and outputs must be finite. Received: `{model.name}`, which gives "
            "NaN or infinity for these images. Its training diverged: lower the learning rate."
        )


# What a command line calls them.
METHODS = {"grad-cam": grad_cam_function, "grad-cam++": grad_cam_plus_plus_function, "cam": cam_function}


def method_function(method):
    """The function of `METHODS` that a name stands for.

    Raises:
        ValueError: for another name.
    """
    if method not in METHODS:
        raise SemenetError(
            f"`method` must be one of {', '.join(METHODS)}. Received: {method!r}. "
            "Use 'grad-cam', which suits every head."
        )
    return METHODS[method]


def _by_gradient(model, layer, weigh):
    """The explaining function of a method that weighs channels by `weigh(features, gradient)`."""
    return _traced(model, dense_head(model), _gradient_graph(model, layer, weigh))


def _gradient_graph(model, layer, weigh):
    """The graph of it: a function of images and classes to maps and outputs."""
    head, taps = _taps(model, layer)

    def explain(images, class_index):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Within a graph only what lies between score and feature map is differentiated.
            tape.watch(images)
            features, vector = taps(images, training=False)
            logits = _logits(head, vector)
            score = tf.reduce_sum(tf.gather(logits, _chosen(logits, class_index), axis=1, batch_dims=1))
            # The gradient of a mean over positions is small: in float16 it would vanish.
            positions = tf.cast(tf.reduce_prod(tf.shape(features)[1:3]), tf.float32)
            score *= positions
        gradient = tape.gradient(score, features)
        if gradient is None:
            raise SemenetError(
                "The layer to explain must lie between the model's input and `head`. "
                f"Received: {layer!r}, on which `head` does not depend. Use 'features'."
            )
        features = tf.cast(features, tf.float32)
        weights = weigh(features, tf.cast(gradient, tf.float32) / positions)
        return scaled(tf.reduce_sum(features * weights, axis=-1)), head.activation(logits)

    return explain


def _mean_gradient(features, gradient):
    return tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)


def _weights_of_positive_gradients(features, gradient):
    # Divided by g^2: the powers of a small gradient would underflow.
    denominator = 2 + gradient * tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    alpha = tf.where(gradient == 0, 0.0, tf.math.divide_no_nan(1.0, denominator))
    alpha = tf.math.divide_no_nan(alpha, tf.reduce_sum(alpha, axis=(1, 2), keepdims=True))
    return tf.reduce_sum(alpha * tf.nn.relu(gradient), axis=(1, 2), keepdims=True)


def _taps(model, layer):
    """The head, and a model of the layer's feature map and the head's input."""
    if keras.backend.backend() != "tensorflow":
        raise SemenetError(
            "Class activation maps run on TensorFlow, which gives their gradients. "
            f"Received: Keras on the {keras.backend.backend()} backend. Set KERAS_BACKEND=tensorflow; "
            "models trained on other backends load there."
        )
    head = dense_head(model)
    return head, keras.Model(model.inputs[0], [feature_map(model, layer).output, head.input])


def _class_maps(head, features):
    return tf.einsum("nhwc,ck->nhwk", tf.cast(features, tf.float32), tf.convert_to_tensor(head.kernel))


def _logits(head, vector):
    logits = tf.matmul(tf.cast(vector, tf.float32), tf.convert_to_tensor(head.kernel))
    return logits + tf.convert_to_tensor(head.bias) if head.use_bias else logits


def _chosen(logits, class_index):
    return tf.where(class_index < 0, tf.argmax(logits, axis=1, output_type=tf.int32), class_index)


def _traced(model, head, explain):
    """The function of images and classes that callers get; `explain` is traced at its first call."""
    inputs = tf.TensorSpec(model.inputs[0].shape, tf.float32)
    explain = tf.function(explain, input_signature=[inputs, tf.TensorSpec((None,), tf.int32)])
    classes = head.kernel.shape[-1]

    def run(images, class_index=None):
        images = np.asarray(images)
        index = _class_indices(class_index, len(images), classes)
        heat, outputs = (value.numpy() for value in explain(tf.cast(images, tf.float32), index))
        check_finite(model, heat, outputs)
        return heat, outputs

    return run


def _class_indices(class_index, count, classes):
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
            f"Received: {class_index!r}. Leave it out for the class predicted."
        )
    return np.broadcast_to(index, count).astype(np.int32)
