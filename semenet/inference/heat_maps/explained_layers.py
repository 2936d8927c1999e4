"""Finds the layers of a classifier from which heat maps are computed."""

import difflib

import keras

from semenet.errors import SemenetError
from semenet.models.receptive_fields import ReceptiveFieldError, receptive_field

# The last feature map of every classifier of the catalogue.
LAST = "features"
# Strides do not depend on the size of the input; this one serves networks that take any size.
_ANY_SIZE = (256, 256)


def is_pooled(model: keras.Model) -> bool:
    """Returns whether a classifier's head follows global average pooling, by the layer's catalogue name."""
    return any(layer.name == "avg_pool" for layer in model.layers)


def dense_head(model: keras.Model) -> keras.layers.Dense:
    """Returns the dense layer `head` of a classifier.

    Raises:
        SemenetError: the model has no such layer.
    """
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    if not isinstance(head, keras.layers.Dense):
        found = "no layer of that name" if head is None else f"a {type(head).__name__}"
        raise SemenetError(
            "Grad-CAM explains a classifier whose last layer is dense and named `head`. "
            f"Received: `{model.name}` with {found}. Use a classifier built by semenet.build."
        )
    return head


def feature_map(model: keras.Model, layer: str | int) -> keras.layers.Layer:
    """Returns a layer by its name or stride, see `layer_name`."""
    return model.get_layer(layer_name(model, layer))


def layer_name(model: keras.Model, layer: str | int) -> str:
    """Returns the name of the layer to explain.

    Args:
        model: a functional model.
        layer: the name of a layer with a feature map `(N, h, w, C)`, or a stride: the distance of its cells
            in input pixels, such as 16. See `layers_by_stride`.

    Returns:
        The layer's name.

    Raises:
        SemenetError: there is no such layer. The message has the closest names, and the strides.
    """
    maps = [member.name for member in model.layers if len(getattr(member.output, "shape", ())) == 4]
    if layer in maps:
        return layer
    try:
        strides = layers_by_stride(model)
    except ReceptiveFieldError:
        strides = {}
    if str(layer).isdecimal() and int(layer) in strides:
        return strides[int(layer)]
    close = difflib.get_close_matches(str(layer), maps, n=3)
    known = [f"{stride} ({name})" for stride, name in strides.items()]
    raise SemenetError(
        "A heat map weights the feature map (N, H, W, C) of a layer, given by its name or its stride. "
        f"Received: {layer!r} for `{model.name}`. "
        + (f"Did you mean {' or '.join(close)}? " if close else "")
        + (f"Layers by stride: {', '.join(known)}." if known else f"Layers: {', '.join(maps)}.")
    )


def layers_by_stride(model: keras.Model) -> dict[int, str]:
    """Returns for each stride the layer whose feature map is explained.

    It is the last layer of that stride with a ReLU through which all paths from the image to the output lead:
    the last feature map before the next downsampling, without the branches of a block. If the next layers
    skip cells, as the 1 x 1 convolutions of stride 2 in ResNet do, it is the first such layer: of the last
    one, three of four cells have no gradient, and the identities of the blocks pass these gaps on. `features`
    is the one of its own stride.

    Args:
        model: a functional model.

    Returns:
        dict from the stride in input pixels to the layer's name, in the order of the layers.

    Raises:
        ReceptiveFieldError: the model has a layer whose receptive field is unknown.

    Example:
        >>> model = semenet.build("resnet50_gap", width=0.125)
        >>> semenet.inference.layers_by_stride(model)[16]
        'conv4_block1_out'
    """
    size = tuple(side or default for side, default in zip(model.input_shape[1:3], _ANY_SIZE, strict=True))
    layers: dict[int, list[keras.layers.Layer]] = {}
    for layer in _bottlenecks(model):
        if layer.name == LAST or getattr(layer, "activation", None) is keras.activations.relu:
            vertical, horizontal = receptive_field(model, layer.name, size).stride
            if vertical == horizontal and vertical.is_integer():
                layers.setdefault(int(vertical), []).append(layer)
    return {
        stride: found[0 if _is_skipped(model, found[-1]) else -1].name for stride, found in layers.items()
    }


def _is_skipped(model: keras.Model, layer: keras.layers.Layer) -> bool:
    """Returns whether all layers that take a layer's output skip some of its cells."""
    users = [
        user
        for user in model.layers
        if any(tensor is layer.output for tensor in keras.tree.flatten(user.input)) and user is not layer
    ]
    return bool(users) and all(
        isinstance(user, keras.layers.Conv2D)
        and any(side < stride for side, stride in zip(user.kernel_size, user.strides, strict=True))
        for user in users
    )


def _bottlenecks(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers with a feature map through which all paths from the input to the output lead."""
    operations = model.operations
    last_use = {
        id(tensor): number
        for number, operation in enumerate(operations)
        if not isinstance(operation, keras.layers.InputLayer)
        for tensor in keras.tree.flatten(operation.input)
    }
    found, needed_until = [], 0
    for number, operation in enumerate(operations):
        if needed_until <= number and len(getattr(operation.output, "shape", ())) == 4:
            found.append(operation)
        needed_until = max(needed_until, last_use.get(id(operation.output), 0))
    return found


def check_pooled(model: keras.Model, layer: str, head: keras.layers.Dense) -> None:
    """Raises `SemenetError` unless `head` follows the global average pooling of `layer`."""
    producers = {id(producer.output): producer for producer in model.layers}
    pooling = producers.get(id(head.input))
    if not isinstance(pooling, keras.layers.GlobalAveragePooling2D):
        raise SemenetError(
            "CAM explains a dense `head` that follows global average pooling. "
            f"Received: `{model.name}`, whose head follows {getattr(pooling, 'name', 'another layer')!r}. "
            "Use method='grad-cam'."
        )
    layer, pooled, names = layer_name(model, layer), pooling.input, []
    while True:
        producer = producers[id(pooled)]
        names.append(producer.name)
        if producer.name == layer:
            return
        # `features` is an identity layer: the layer before it has the same map.
        if not isinstance(producer, keras.layers.Identity):
            break
        pooled = producer.input
    raise SemenetError(
        "CAM weights the feature map that the global average pooling takes. "
        f"Received: layer={layer!r} for `{model.name}`, which pools {' or '.join(names)}. Use that layer, or "
        "method='grad-cam'."
    )
