"""The convolutional part of DenseNet169, with squeeze-and-excitation and MoEx."""

import keras

from semenet.models.backbones.variants import scaled_channels, scaled_repeats
from semenet.models.layers.convolutions import batch_normalization, check_choice, convolution, stem
from semenet.models.layers.moment_exchange import MomentExchange
from semenet.models.layers.squeeze_excitation import squeeze_excite
from semenet.models.placements import SE_PLACEMENTS

BLOCKS = (6, 12, 32, 32)
GROWTH = 32


def densenet169(
    x: keras.KerasTensor,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    bn_momentum: float = 0.9,
    se_ratio: int | None = None,
    se_placement: str = "both",
    moex: MomentExchange | None = None,
    moex_position: str = "conv1",
) -> keras.KerasTensor:
    """Builds DenseNet169 up to its last batch normalisation and ReLU.

    Args:
        x: images `(N, H, W, C)`, already scaled; height and width 32 or more.
        width: scale of the filters and of the growth rate.
        depth: scale of the number of layers in each dense block.
        bn_momentum: momentum in [0, 1), see `resnet50`.
        se_ratio: reduction of the squeeze-and-excitation blocks; None for no such blocks.
        se_placement: position of these blocks: "both", after every dense block and every transition;
            "blocks"; or "transitions".
        moex: `MomentExchange` layer, or None.
        moex_position: "conv1" or "stem", see `resnet50`.

    Returns:
        Feature map `(N, H // 32, W // 32, 1664)` at full size. Layers that
        keras.applications also has carry the same names.

    Raises:
        SemenetError: for an unknown placement or position.

    Reference:
        Huang et al., "Densely Connected Convolutional Networks", https://arxiv.org/abs/1608.06993

    Example:
        >>> import keras
        >>> from semenet.models import densenet169
        >>> image = keras.Input((224, 224, 1))
        >>> densenet169(image, width=0.25, depth=0.34).shape
        (None, 7, 7, 147)
    """
    check_choice("se_placement", se_placement, SE_PLACEMENTS["densenet169"])

    def excite(tensor: keras.KerasTensor, after: str, name: str) -> keras.KerasTensor:
        if se_ratio is None or se_placement not in ("both", after):
            return tensor
        return squeeze_excite(tensor, se_ratio, name)

    x = stem(
        x, scaled_channels(64, width), bn_momentum, moex, moex_position, use_bias=False, pool_name="pool1"
    )
    for stage, layers in enumerate(BLOCKS, start=2):
        for number in range(1, scaled_repeats(layers, depth) + 1):
            x = _dense_layer(x, scaled_channels(GROWTH, width), bn_momentum, f"conv{stage}_block{number}")
        x = excite(x, "blocks", f"conv{stage}_se")
        if stage < len(BLOCKS) + 1:
            x = _transition(x, bn_momentum, f"pool{stage}")
            x = excite(x, "transitions", f"pool{stage}_se")
    x = batch_normalization(x, bn_momentum, "bn")
    return keras.layers.Activation("relu", name="relu")(x)


def _dense_layer(x: keras.KerasTensor, growth: int, bn_momentum: float, name: str) -> keras.KerasTensor:
    new = batch_normalization(x, bn_momentum, f"{name}_0_bn")
    new = keras.layers.Activation("relu", name=f"{name}_0_relu")(new)
    new = convolution(new, 4 * growth, 1, name=f"{name}_1_conv")
    new = batch_normalization(new, bn_momentum, f"{name}_1_bn")
    new = keras.layers.Activation("relu", name=f"{name}_1_relu")(new)
    new = convolution(new, growth, 3, name=f"{name}_2_conv")
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(x: keras.KerasTensor, bn_momentum: float, name: str) -> keras.KerasTensor:
    x = batch_normalization(x, bn_momentum, f"{name}_bn")
    x = keras.layers.Activation("relu", name=f"{name}_relu")(x)
    x = convolution(x, x.shape[-1] // 2, 1, name=f"{name}_conv")
    return keras.layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)
