"""The layers that ResNet, DenseNet and the U-Net are made of, and the stem that the first two share."""

import keras

from semenet.errors import SemenetError

# That of keras.applications' ResNet and DenseNet.
EPSILON = 1.001e-5


def stem(x, filters, bn_momentum, moex, moex_position, *, use_bias, pool_name="pool1_pool"):
    """The first layers of ResNet and DenseNet: convolution of stride 2, ReLU, pooling of stride 2.

    Args:
        x: images `(N, H, W, C)`.
        filters: int, channels of the output.
        bn_momentum: float, of the batch normalisation.
        moex: a `MomentExchange` or None.
        moex_position: "conv1" or "stem", see `resnet50`.
        use_bias: bool, whether the convolution has a bias (ResNet has, DenseNet has not).
        pool_name: name of the pooling layer (keras.applications names the two networks' differently).

    Returns:
        Feature map `(N, ceil(H / 4), ceil(W / 4), filters)`.

    Raises:
        ValueError: for an unknown position.
    """
    check_choice("moex_position", moex_position, ("conv1", "stem"))
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = convolution(x, filters, 7, strides=2, padding="valid", use_bias=use_bias, name="conv1_conv")
    x = batch_normalization(x, bn_momentum, "conv1_bn")
    if moex is not None and moex_position == "conv1":
        x = moex(x)
    x = keras.layers.Activation("relu", name="conv1_relu")(x)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name=pool_name)(x)
    return moex(x) if moex is not None and moex_position == "stem" else x


def convolution(x, filters, size, name, *, strides=1, padding="same", use_bias=False):
    """A linear convolution with He-uniform kernels, as in the paper (section 4)."""
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer="he_uniform",
        name=name,
    )(x)


def batch_normalization(x, momentum, name):
    """Batch normalisation with the epsilon that keras.applications' ResNet and DenseNet have."""
    return keras.layers.BatchNormalization(momentum=momentum, epsilon=EPSILON, name=name)(x)


def check_choice(argument, value, choices):
    """Raises ValueError if `value` is none of `choices`."""
    if value not in choices:
        raise SemenetError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. Received: {value!r}."
            " Leave it out for the usual one."
        )
