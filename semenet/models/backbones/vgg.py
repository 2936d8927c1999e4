"""VGG19's convolutions."""

import keras

from semenet.models.backbones.variants import scaled_channels, scaled_repeats

FILTERS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 4, 4, 4)
HIDDEN_UNITS = (4096, 4096)


def vgg19(x, *, width=1.0, depth=1.0):
    """Composes VGG19 up to its last pooling.

    Args:
        x: images `(N, H, W, C)`, scaled, height and width 32 or more.
        width: float, scales the filters.
        depth: float, scales the convolutions of each block.

    Returns:
        Feature map `(N, H // 32, W // 32, 512 * width)`. Layers are named as in keras.applications.

    Reference:
        Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        https://arxiv.org/abs/1409.1556
    """
    for block, (filters, convolutions) in enumerate(zip(FILTERS, CONVOLUTIONS, strict=True), start=1):
        for number in range(1, scaled_repeats(convolutions, depth) + 1):
            x = keras.layers.Conv2D(
                scaled_channels(filters, width),
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_uniform",
                name=f"block{block}_conv{number}",
            )(x)
        x = keras.layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return x
