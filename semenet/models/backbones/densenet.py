"""DenseNet169's convolutions, with squeeze-and-excitation between its blocks and MoEx at its start."""

import keras

from semenet.models.backbones.variants import scaled_channels, scaled_repeats
from semenet.models.layers.convolutions import batch_normalization, check_choice, convolution, stem
from semenet.models.layers.squeeze_excitation import squeeze_excite

BLOCKS = (6, 12, 32, 32)
GROWTH = 32
SE_PLACEMENTS = ("both", "blocks", "transitions")


def densenet169(
    x,
    *,
    width=1.0,
    depth=1.0,
    bn_momentum=0.9,
    se_ratio=None,
    se_placement="both",
    moex=None,
    moex_position="conv1",
):
    """Composes DenseNet169 up to its last batch normalisation and ReLU.

    Args:
        x: images `(N, H, W, C)`, scaled, height and width 32 or more.
        width: float, scales the filters and the growth rate.
        depth: float, scales the layers of each dense block.
        bn_momentum: float in [0, 1), see `resnet50`.
        se_ratio: int or None, the reduction of the squeeze-and-excitation blocks; None for none.
        se_placement: where they stand: "both", after every dense block and every transition; "blocks";
            or "transitions".
        moex: a `MomentExchange` or None.
        moex_position: "conv1" or "stem", see `resnet50`.

    Returns:
        Feature map `(N, H // 32, W // 32, 1664)` at full size. Layers are named as in
        keras.applications where it names the layer.

    Raises:
        ValueError: for an unknown placement or position.

    Reference:
        Huang et al., "Densely Connected Convolutional Networks", https://arxiv.org/abs/1608.06993
    """
    check_choice("se_placement", se_placement, SE_PLACEMENTS)

    def excite(tensor, after, name):
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


def _dense_layer(x, growth, bn_momentum, name):
    new = batch_normalization(x, bn_momentum, f"{name}_0_bn")
    new = keras.layers.Activation("relu", name=f"{name}_0_relu")(new)
    new = convolution(new, 4 * growth, 1, name=f"{name}_1_conv")
    new = batch_normalization(new, bn_momentum, f"{name}_1_bn")
    new = keras.layers.Activation("relu", name=f"{name}_1_relu")(new)
    new = convolution(new, growth, 3, name=f"{name}_2_conv")
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(x, bn_momentum, name):
    x = batch_normalization(x, bn_momentum, f"{name}_bn")
    x = keras.layers.Activation("relu", name=f"{name}_relu")(x)
    x = convolution(x, x.shape[-1] // 2, 1, name=f"{name}_conv")
    return keras.layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)
