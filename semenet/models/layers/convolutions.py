"""Convolution and batch normalisation of ResNet, DenseNet and U-Net, and the stem of the first two."""

from collections.abc import Sequence

import keras

from semenet.errors import SemenetError
from semenet.models.layers.fused_normalization import BatchNormalization
from semenet.models.layers.moment_exchange import MomentExchange
from semenet.models.placements import MOEX_POSITIONS

# The epsilon of ResNet and DenseNet in keras.applications.
EPSILON = 1.001e-5


def stem(
    x: keras.KerasTensor,
    filters: int,
    bn_momentum: float,
    moex: MomentExchange | None,
    moex_position: str,
    *,
    use_bias: bool,
    pool_name: str = "pool1_pool",
) -> keras.KerasTensor:
    """Applies the first layers of ResNet and DenseNet: convolution of stride 2, ReLU, pooling of stride 2.

    Args:
        x: images `(N, H, W, C)`.
        filters: number of output channels.
        bn_momentum: momentum of the batch normalisation.
        moex: `MomentExchange` layer, or None.
        moex_position: "conv1" or "stem", see `resnet50`.
        use_bias: whether the convolution has a bias (it has one in ResNet, but not in DenseNet).
        pool_name: name of the pooling layer, which differs between the two networks in keras.applications.

    Returns:
        Feature map `(N, ceil(H / 4), ceil(W / 4), filters)`.

    Raises:
        SemenetError: for an unknown position.
    """
    check_choice("moex_position", moex_position, MOEX_POSITIONS)
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = convolution(x, filters, 7, strides=2, padding="valid", use_bias=use_bias, name="conv1_conv")
    x = batch_normalization(x, bn_momentum, "conv1_bn")
    if moex is not None and moex_position == "conv1":
        x = moex(x)
    x = keras.layers.Activation("relu", name="conv1_relu")(x)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name=pool_name)(x)
    return moex(x) if moex is not None and moex_position == "stem" else x


def convolution(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    name: str,
    *,
    strides: int = 1,
    padding: str = "same",
    use_bias: bool = False,
) -> keras.KerasTensor:
    """Applies a linear convolution with a He-uniform kernel, as in the paper (section 4)."""
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer="he_uniform",
        name=name,
    )(x)


def batch_normalization(x: keras.KerasTensor, momentum: float, name: str) -> keras.KerasTensor:
    """Applies batch normalisation with the epsilon of ResNet and DenseNet in keras.applications."""
    return BatchNormalization(momentum=momentum, epsilon=EPSILON, name=name)(x)


def check_choice(argument: str, value: str, choices: Sequence[str]) -> None:
    """Raises SemenetError if `value` is not one of `choices`.

    Args:
        argument: name of the argument, for the message.
        value: its value.
        choices: its valid values.
    """
    if value not in choices:
        raise SemenetError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. Received: {value!r}."
            " Leave it out for the default."
        )
