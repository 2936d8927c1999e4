"""The convolutional part of VGG19."""

import keras

from semenet.models.backbones.variants import scaled_channels, scaled_repeats

FILTERS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 4, 4, 4)


def vgg19(x: keras.KerasTensor, *, width: float = 1.0, depth: float = 1.0) -> keras.KerasTensor:
    """Builds VGG19 up to its last pooling.

    Args:
        x: images `(N, H, W, C)`, already scaled; height and width 32 or more.
        width: scale of the filters.
        depth: scale of the number of convolutions in each block.

    Returns:
        Feature map `(N, H // 32, W // 32, 512 * width)`. Layers are named as in keras.applications.

    Reference:
        Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        https://arxiv.org/abs/1409.1556

    Example:
        >>> import keras
        >>> from semenet.models import vgg19
        >>> image = keras.Input((224, 224, 1))
        >>> vgg19(image, width=0.25, depth=0.34).shape
        (None, 7, 7, 128)
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
