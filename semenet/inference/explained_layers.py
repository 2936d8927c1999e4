"""The layers of a classifier that heat maps are made of, and whether it has them."""

import keras

from semenet.errors import SemenetError


def is_pooled(model):
    """Whether a classifier's head follows a global average pooling, by the catalogue's name for it."""
    return any(layer.name == "avg_pool" for layer in model.layers)


def dense_head(model):
    """The dense layer `head` of a classifier.

    Raises:
        ValueError: there is none.
    """
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    if not isinstance(head, keras.layers.Dense):
        found = "none of that name" if head is None else type(head).__name__
        raise SemenetError(
            "Grad-CAM explains a classifier whose last layer is dense and named `head`. "
            f"Received: `{model.name}` with {found}. Use a classifier that semenet.build made."
        )
    return head


def feature_map(model, name):
    """The layer of that name, which gives a feature map `(N, h, w, C)`.

    Raises:
        ValueError: there is none; the message names those that there are.
    """
    named = {layer.name: layer for layer in model.layers}
    maps = [key for key, layer in named.items() if len(getattr(layer.output, "shape", ())) == 4]
    if name not in maps:
        raise SemenetError(
            "Grad-CAM weights the feature map (N, H, W, C) of a layer. "
            f"Received: {name!r} for `{model.name}`. Layers with one: {', '.join(maps)}."
        )
    return named[name]


def check_pooled(model, layer, head):
    """Refuses, with ValueError, a `head` that does not follow a global average pooling of `layer`."""
    producers = {id(producer.output): producer for producer in model.layers}
    pooling = producers.get(id(head.input))
    if not isinstance(pooling, keras.layers.GlobalAveragePooling2D):
        raise SemenetError(
            "CAM explains a dense `head` that follows a global average pooling. "
            f"Received: `{model.name}`, whose head follows {getattr(pooling, 'name', 'another layer')!r}. "
            "Use method='grad-cam'."
        )
    pooled, names = pooling.input, []
    while True:
        producer = producers[id(pooled)]
        names.append(producer.name)
        if producer.name == layer:
            return
        # `features` is an identity: the layer before it has the same map.
        if not isinstance(producer, keras.layers.Identity):
            break
        pooled = producer.input
    raise SemenetError(
        "CAM weights the feature map that the global average pooling takes. "
        f"Received: layer={layer!r} for `{model.name}`, which pools {' or '.join(names)}. Use that layer, or "
        "method='grad-cam'."
    )
