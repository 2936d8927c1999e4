"""The squeeze-and-excitation block: channel attention from globally pooled features."""

import keras

from semenet.errors import SemenetError


def squeeze_excite(x, ratio, name):
    """Weighs each channel of a feature map by a gate computed from all channels' means.

    Pooling runs in float32 whatever the policy: TensorFlow's float16 mean accumulates in float16 on
    the CPU and loses a 112 x 112 map (measured: the mean of ones is 0.33).

    Args:
        x: feature map `(N, H, W, C)`, any floating dtype.
        ratio: int >= 1, the reduction `r` of the bottleneck; it has `max(1, C // r)` units.
        name: prefix of the layers' names.

    Returns:
        Tensor of the shape and dtype of `x`: every channel multiplied by its gate in (0, 1).

    Raises:
        ValueError: if `ratio` is not a positive integer.

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507
    """
    if not isinstance(ratio, int) or ratio < 1:
        raise SemenetError(
            "`se_ratio` must be a positive integer, the factor by which the gate's bottleneck is "
            f"narrower than the feature map. Received: {ratio!r}. Use 16, as Hu et al. do."
        )
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name=f"{name}_squeeze")(x)
    gate = keras.layers.Dense(
        max(1, channels // ratio),
        activation="relu",
        kernel_initializer="he_uniform",
        name=f"{name}_reduce",
    )(gate)
    gate = keras.layers.Dense(
        channels, activation="sigmoid", kernel_initializer="he_uniform", name=f"{name}_expand"
    )(gate)
    return keras.layers.Multiply(name=f"{name}_scale")([x, gate])
