"""Finds the layers of a classifier from which heat maps are computed."""

import keras

from semenet.errors import SemenetError


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


def feature_map(model: keras.Model, name: str) -> keras.layers.Layer:
    """Returns the layer with a name, whose output is a feature map `(N, h, w, C)`.

    Raises:
        SemenetError: there is no such layer. The message lists the layers that have a feature map.
    """
    layers = {layer.name: layer for layer in model.layers}
    maps = [key for key, layer in layers.items() if len(getattr(layer.output, "shape", ())) == 4]
    if name not in maps:
        raise SemenetError(
            "Grad-CAM weights the feature map (N, H, W, C) of a layer. "
            f"Received: {name!r} for `{model.name}`. Layers with a feature map: {', '.join(maps)}."
        )
    return layers[name]


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
    pooled, names = pooling.input, []
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
