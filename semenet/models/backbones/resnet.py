"""The convolutional part of ResNet50, with squeeze-and-excitation and MoEx."""

import keras

from semenet.models.backbones.variants import scaled_channels, scaled_repeats
from semenet.models.layers.convolutions import batch_normalization, check_choice, convolution, stem
from semenet.models.layers.moment_exchange import MomentExchange
from semenet.models.layers.squeeze_excitation import squeeze_excite
from semenet.models.placements import SE_PLACEMENTS

FILTERS = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)


def resnet50(
    x: keras.KerasTensor,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    bn_momentum: float = 0.9,
    se_ratio: int | None = None,
    se_placement: str = "standard",
    moex: MomentExchange | None = None,
    moex_position: str = "conv1",
) -> keras.KerasTensor:
    """Builds ResNet50 up to its last block.

    Args:
        x: images `(N, H, W, C)`, already scaled; height and width 32 or more.
        width: scale of the filters.
        depth: scale of the number of blocks in each stage.
        bn_momentum: momentum in [0, 1) of the moving statistics of batch normalisation. The default is
            below Keras' 0.99, because an epoch of a few thousand radiographs has few steps, and with 0.99
            the statistics lag many steps behind.
        se_ratio: reduction of the squeeze-and-excitation blocks; None for no such blocks.
        se_placement: position of these blocks (Hu et al., section 6.5): "standard", on the residual branch
            after its last batch normalisation; "pre", before its first convolution; "post", after the
            addition; "identity", on the shortcut.
        moex: `MomentExchange` layer, or None.
        moex_position: "conv1", after the first convolution and its batch normalisation, before ReLU; or
            "stem", after the first pooling, as in the MoEx authors' ImageNet code.

    Returns:
        Feature map `(N, ceil(H / 32), ceil(W / 32), 2048 * width)`. Layers that
        keras.applications also has carry the same names.

    Raises:
        SemenetError: for an unknown placement or position.

    Reference:
        He et al., "Deep Residual Learning for Image Recognition", https://arxiv.org/abs/1512.03385

    Example:
        >>> import keras
        >>> from semenet.models import resnet50
        >>> image = keras.Input((224, 224, 1))
        >>> resnet50(image, width=0.25, depth=0.34).shape
        (None, 7, 7, 512)
    """
    check_choice("se_placement", se_placement, SE_PLACEMENTS["resnet50"])
    x = stem(x, scaled_channels(64, width), bn_momentum, moex, moex_position, use_bias=True)
    for stage, (filters, blocks) in enumerate(zip(FILTERS, BLOCKS, strict=True), start=2):
        for block in range(1, scaled_repeats(blocks, depth) + 1):
            x = _residual_block(
                x,
                scaled_channels(filters, width),
                stride=2 if block == 1 and stage > 2 else 1,
                project=block == 1,
                bn_momentum=bn_momentum,
                se_ratio=se_ratio,
                se_placement=se_placement,
                name=f"conv{stage}_block{block}",
            )
    return x


def _residual_block(
    x: keras.KerasTensor,
    filters: int,
    *,
    stride: int,
    project: bool,
    bn_momentum: float,
    se_ratio: int | None,
    se_placement: str,
    name: str,
) -> keras.KerasTensor:
    def excite(tensor: keras.KerasTensor, placement: str) -> keras.KerasTensor:
        if se_ratio is None or placement != se_placement:
            return tensor
        return squeeze_excite(tensor, se_ratio, f"{name}_se")

    shortcut = x
    if project:
        shortcut = convolution(x, 4 * filters, 1, strides=stride, use_bias=True, name=f"{name}_0_conv")
        shortcut = batch_normalization(shortcut, bn_momentum, f"{name}_0_bn")
    shortcut = excite(shortcut, "identity")
    x = excite(x, "pre")
    x = convolution(x, filters, 1, strides=stride, use_bias=True, name=f"{name}_1_conv")
    x = batch_normalization(x, bn_momentum, f"{name}_1_bn")
    x = keras.layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = convolution(x, filters, 3, use_bias=True, name=f"{name}_2_conv")
    x = batch_normalization(x, bn_momentum, f"{name}_2_bn")
    x = keras.layers.Activation("relu", name=f"{name}_2_relu")(x)
    x = convolution(x, 4 * filters, 1, use_bias=True, name=f"{name}_3_conv")
    x = batch_normalization(x, bn_momentum, f"{name}_3_bn")
    x = excite(x, "standard")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    x = excite(keras.layers.Activation("relu", name=f"{name}_out")(x), "post")
    return x
