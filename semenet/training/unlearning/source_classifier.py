"""A small classifier of the source of an image, one for each value of a column such as the label."""

import keras
from keras import ops

HIDDEN_UNITS = 64
_EPSILON = 1e-6


class SourceClassifier(keras.layers.Layer):
    """Predicts the source of images from their pooled features, with one hidden layer.

    The features of each image are first scaled to mean 0 and variance 1, so that a network cannot fool the
    classifier by the size of its features.

    With several `values`, there are as many classifiers of the same shape. An image is classified only by
    that of its own value, so that a classifier compares images of one value, for example of one label. It
    then cannot use the label to guess the source.

    Args:
        channels: number of features.
        sources: number of sources.
        values: number of values of the other column; 1 without one.

    Call arguments:
        features: float `(N, channels)`; all computations are in float32.
        within: int `(N,)`, the value of each image, in [0, values).

    Output shape:
        `(N, sources)`, float32 logits.

    Example:
        >>> from semenet.training.unlearning import SourceClassifier
        >>> classifier = SourceClassifier(channels=16, sources=3, values=2)
        >>> classifier(np.ones((4, 16), "float32"), np.array([0, 1, 1, 0])).shape
        (4, 3)
    """

    def __init__(self, channels: int, sources: int, values: int = 1) -> None:
        super().__init__(name="source_classifier", dtype="float32")
        self.values = values
        shapes = {"hidden": (values, channels, HIDDEN_UNITS), "output": (values, HIDDEN_UNITS, sources)}
        for name, shape in shapes.items():
            # He et al. for each classifier alone: Keras would count the values as part of a receptive field.
            limit = (6.0 / shape[1]) ** 0.5
            uniform = keras.initializers.RandomUniform(-limit, limit)
            kernel = self.add_weight(shape=shape, initializer=uniform, name=f"{name}_kernel")
            bias = self.add_weight(shape=(values, shape[2]), initializer="zeros", name=f"{name}_bias")
            setattr(self, f"{name}_kernel", kernel)
            setattr(self, f"{name}_bias", bias)
        self.built = True

    def call(self, features: keras.KerasTensor, within: keras.KerasTensor) -> keras.KerasTensor:
        centred = features - ops.mean(features, axis=-1, keepdims=True)
        scale = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + _EPSILON)
        x = ops.einsum("nc,vch->nvh", centred * scale, self.hidden_kernel) + self.hidden_bias
        x = ops.einsum("nvh,vhs->nvs", ops.relu(x), self.output_kernel) + self.output_bias
        own = ops.one_hot(within, self.values, dtype="float32")
        return ops.einsum("nvs,nv->ns", x, own)
