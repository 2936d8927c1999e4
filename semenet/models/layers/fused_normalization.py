"""Batch normalisation that TensorFlow computes in one operation, in the precision of the features."""

from typing import Any

import keras

_FUSED_DTYPES = ("float32", "float16", "bfloat16")


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation, computed by TensorFlow's fused kernel in the compute precision.

    Keras computes batch normalisation of float16 and bfloat16 features in float32, and several elementary
    operations pass over the features. The fused kernel reads and writes features of the compute precision;
    it takes the statistics, scale and offset in float32, as Keras does. The results are those of Keras' layer
    within the rounding of the compute precision.

    The arguments, weights, configuration and names in a file are those of `keras.layers.BatchNormalization`.
    Weights of one layer load into the other. A `.keras` file with this layer loads as this layer where it is
    imported, and as Keras' own layer elsewhere.

    The fused kernel computes the training step. The layer calls Keras' own computation at inference, so that
    predictions equal those of Keras' layer to the bit; on other backends than TensorFlow; for input that is
    not `(N, H, W, C)` or has a mask; without scale or offset; with `renorm`; and with `synchronized`, whose
    statistics come from several devices.

    Args:
        **arguments: arguments of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: features `(N, H, W, C)`, or another shape that Keras' layer accepts.
        training: whether to normalise with the statistics of the batch, and to update the moving averages.
        mask: bool `(N, H, W)`, or None.

    Output shape:
        That of the input; the dtype is the compute dtype.

    Reference:
        Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift", https://arxiv.org/abs/1502.03167

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from semenet.models.layers import BatchNormalization
        >>> layer = BatchNormalization(dtype="mixed_bfloat16")
        >>> y = layer(np.random.default_rng(0).normal(3, 2, (8, 4, 4, 5)), training=True)
        >>> keras.backend.standardize_dtype(y.dtype), layer.moving_mean.dtype
        ('bfloat16', 'float32')
        >>> bool(np.allclose(keras.ops.mean(keras.ops.cast(y, "float32")), 0, atol=0.01))
        True
    """

    # Keras writes the module and the name of a class into a `.keras` file, and the name into `.weights.h5`.
    __module__ = "keras.layers"

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns the normalised features."""
        if not (training and self.trainable and mask is None and self._is_fused(inputs)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        x, none = tf.convert_to_tensor(inputs), tf.constant([], "float32")
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=none,
            variance=none,
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the unbiased variance; Keras averages the biased one.
        count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), "float32")
        variance *= tf.maximum(count - 1.0, 1.0) / count
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1.0 - self.momentum))
        return tf.cast(y, self.compute_dtype)

    def _is_fused(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and not self.renorm
            and not self.synchronized
            and self.variable_dtype == "float32"
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
        )


# Under the name that this layer has in a file. Files with Keras' own layer do not name a registered class.
keras.saving.get_custom_objects()["BatchNormalization"] = BatchNormalization
