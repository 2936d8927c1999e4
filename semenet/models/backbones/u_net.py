"""A VGG-like U-Net with transposed convolutions and batch normalisation."""

from collections.abc import Sequence

import keras
from keras import ops

from semenet.models.backbones.variants import scaled_channels, scaled_repeats
from semenet.models.layers.convolutions import batch_normalization, convolution

FILTERS = (64, 128, 256, 512, 512)
CONVOLUTIONS = 2


def unet(
    x: keras.KerasTensor, *, width: float = 1.0, depth: float = 1.0, bn_momentum: float = 0.9
) -> keras.KerasTensor:
    """Builds the U-Net up to its last feature map, which has the size of the input.

    The encoder has the filters of VGG and two 3 x 3 convolutions per level, each with batch normalisation,
    and four poolings. The decoder mirrors it: at each level a transposed convolution, concatenation with the
    feature map of the encoder, and two convolutions. Odd sides are pooled to half their length, rounded up,
    and cropped in the decoder.

    Args:
        x: images `(N, H, W, C)`, already scaled; height and width 32 or more.
        width: scale of the filters.
        depth: scale of the number of convolutions in each level.
        bn_momentum: momentum in [0, 1), see `resnet50`.

    Returns:
        Feature map `(N, H, W, 64 * width)`.

    Reference:
        Ronneberger et al., "U-Net", https://arxiv.org/abs/1505.04597; the paper, section 3.2.3.

    Example:
        >>> import keras
        >>> from semenet.models import unet
        >>> image = keras.Input((64, 64, 1))
        >>> unet(image, width=0.125).shape
        (None, 64, 64, 8)
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


def _convolutions(
    x: keras.KerasTensor, filters: int, depth: float, bn_momentum: float, name: str
) -> keras.KerasTensor:
    for number in range(1, scaled_repeats(CONVOLUTIONS, depth) + 1):
        x = convolution(x, filters, 3, use_bias=True, name=f"{name}_conv{number}")
        x = batch_normalization(x, bn_momentum, f"{name}_bn{number}")
        x = keras.layers.Activation("relu", name=f"{name}_relu{number}")(x)
    return x


@keras.saving.register_keras_serializable("semenet")
class CropToMatch(keras.layers.Layer):
    """Crops the last rows and columns of a feature map to the size of another, also for dynamic sizes.

    Call arguments:
        inputs: pair of the feature map to crop `(N, H, W, C)` and the one that defines the size
            `(N, h, w, D)`, with `h <= H` and `w <= W`.

    Input shape:
        `(N, H, W, C)` and `(N, h, w, D)`.

    Output shape:
        `(N, h, w, C)`.
    """

    def call(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        x, reference = inputs
        _, height, width, _ = ops.shape(reference)
        return x[:, :height, :width, :]

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        cropped, reference = input_shape
        return (cropped[0], reference[1], reference[2], cropped[3])
