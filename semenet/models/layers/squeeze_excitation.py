"""The squeeze-and-excitation block."""

import keras

from semenet.errors import SemenetError


def squeeze_excite(x: keras.KerasTensor, ratio: int, name: str) -> keras.KerasTensor:
    """Multiplies each channel of a feature map by a gate, computed from the means of all channels.

    The block consists of the layers `{name}_squeeze` (global average pooling), `{name}_reduce` and
    `{name}_expand` (dense layers with ReLU and sigmoid) and `{name}_scale` (multiplication).

    Pooling runs in float32 under every dtype policy: on a CPU, TensorFlow's float16 mean accumulates in
    float16, which is wrong for a 112 x 112 map (measured: the mean of ones is 0.33).

    Args:
        x: feature map `(N, H, W, C)`, any floating dtype.
        ratio: int, 1 or more. The reduction `r` of the bottleneck, which has `max(1, C // r)` units.
        name: prefix of the names of the layers.

    Input shape:
        `(N, H, W, C)`.

    Output shape:
        That of the input, with the same dtype. Each channel is multiplied by its gate in (0, 1).

    Raises:
        SemenetError: `ratio` is not a positive integer.

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507

    Example:
        >>> import keras
        >>> from semenet.models import squeeze_excite
        >>> features = keras.Input((7, 7, 64))
        >>> squeeze_excite(features, ratio=16, name="se").shape
        (None, 7, 7, 64)
    """
    if not isinstance(ratio, int) or ratio < 1:
        raise SemenetError(
            "`se_ratio` must be a positive integer, the factor by which the bottleneck of the gate is "
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
