"""A VGG-like U-Net with transposed convolutions and batch normalisation."""

import keras
from keras import ops

from semenet.models.backbones.variants import scaled_channels, scaled_repeats
from semenet.models.layers.convolutions import batch_normalization, convolution

FILTERS = (64, 128, 256, 512, 512)
CONVOLUTIONS = 2


def unet(x, *, width=1.0, depth=1.0, bn_momentum=0.9):
    """Composes the U-Net up to its last feature map, which has the input's size.

    The encoder has VGG's filters and 3 x 3 convolutions, two a level, each with batch normalisation, and
    four poolings. The decoder mirrors it: a transposed convolution, the encoder's map of that level
    beside it, two convolutions. Odd sides are pooled to the half rounded up and cropped on the way back.

    Args:
        x: images `(N, H, W, C)`, scaled, height and width 32 or more.
        width: float, scales the filters.
        depth: float, scales the convolutions of each level.
        bn_momentum: float in [0, 1), see `resnet50`.

    Returns:
        Feature map `(N, H, W, 64 * width)`.

    Reference:
        Ronneberger et al., "U-Net", https://arxiv.org/abs/1505.04597; the paper, section 3.2.3.
    """
    skips = []
    for level, filters in enumerate(FILTERS, start=1):
        if level > 1:
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"block{level - 1}_pool")(x)
        x = _convolutions(x, scaled_channels(filters, width), depth, bn_momentum, f"block{level}")
        skips.append(x)
    for level, filters in reversed(list(enumerate(FILTERS[:-1], start=1))):
        x = keras.layers.Conv2DTranspose(
            scaled_channels(filters, width),
            2,
            strides=2,
            kernel_initializer="he_uniform",
            name=f"up{level}_transpose",
        )(x)
        skip = skips[level - 1]
        x = CropToMatch(name=f"up{level}_crop")([x, skip])
        x = keras.layers.Concatenate(name=f"up{level}_concat")([skip, x])
        x = _convolutions(x, scaled_channels(filters, width), depth, bn_momentum, f"up{level}")
    return x


def _convolutions(x, filters, depth, bn_momentum, name):
    for number in range(1, scaled_repeats(CONVOLUTIONS, depth) + 1):
        x = convolution(x, filters, 3, use_bias=True, name=f"{name}_conv{number}")
        x = batch_normalization(x, bn_momentum, f"{name}_bn{number}")
        x = keras.layers.Activation("relu", name=f"{name}_relu{number}")(x)
    return x


@keras.saving.register_keras_serializable("semenet")
class CropToMatch(keras.layers.Layer):
    """Cuts a feature map's last rows and columns to the size of another, also where sizes are dynamic.

    Call arguments:
        inputs: pair of the map to cut `(N, H, W, C)` and the one that gives the size `(N, h, w, D)`,
            `h <= H` and `w <= W`.

    Output shape:
        `(N, h, w, C)`.
    """

    def call(self, inputs):
        x, reference = inputs
        _, height, width, _ = ops.shape(reference)
        return x[:, :height, :width, :]

    def compute_output_shape(self, input_shape):
        cut, reference = input_shape
        return (cut[0], reference[1], reference[2], cut[3])
