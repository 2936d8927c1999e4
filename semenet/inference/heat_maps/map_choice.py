"""Heat maps by a method and a layer of choice."""

import dataclasses
import difflib
from collections.abc import Callable

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.inference.heat_maps.class_activation import METHODS, ExplainFunction
from semenet.inference.heat_maps.explained_layers import LAST, layer_name
from semenet.inference.heat_maps.graphs import default_method


@dataclasses.dataclass(frozen=True)
class MapChoice:
    """How heat maps are computed.

    Attributes:
        method: a key of `semenet.inference.heat_maps.class_activation.METHODS`, underscores standing for
            hyphens; None for class activation maps, or Grad-CAM where the head or the layer does not allow
            them.
        layer: name or stride of the layer whose feature map is weighted.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> semenet.inference.MapChoice("layer_cam", 16).of(model)
        MapChoice(method='layer-cam', layer='block5_conv4')
    """

    method: str | None = None
    layer: str | int = LAST

    def of(self, model: keras.Model) -> "MapChoice":
        """Returns the choice for a model, with the method's and the layer's name.

        Raises:
            SemenetError: unknown method or layer.
        """
        layer = layer_name(model, self.layer)
        return MapChoice(method_name(self.method or default_method(model, layer)), layer)


DEFAULT_MAPS = MapChoice()


def heat_map(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray | None = None,
    *,
    method: str = "grad-cam",
    layer: str | int = "features",
) -> np.ndarray:
    """Computes the heat maps of a batch of images by any method, from any layer.

    For many batches, use `semenet.inference.method_function`, which traces the model only once.

    Args:
        model: a classifier with a dense layer `head`, such as `semenet.build` returns.
        images: `(N, H, W, C)` with values in [0, 255], in the input size of the model.
        class_index: the class to explain: an int, or one for each image, `(N,)`; None explains the predicted
            class.
        method: "grad-cam", "grad-cam++", "cam", "layer-cam" or "hires-cam".
        layer: name of the layer whose feature map is weighted, or its stride in input pixels: 8 is a
            layer with a cell for every 8 x 8 pixels.

    Returns:
        float32 array `(N, h, w)` in [0, 1], in the size of the feature map.

    Raises:
        SemenetError: unknown method or layer, the method does not fit the head, or the images or classes do
            not fit the model.

    Example:
        >>> model = semenet.build("vgg19_gap", input_shape=(64, 64, 1), width=0.125)
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1))
        >>> heat_maps = semenet.heat_map(model, images, method="layer-cam", layer=8)
        >>> heat_maps.shape
        (2, 8, 8)
    """
    return method_function(method)(model, layer)(images, class_index)[0]


def method_function(method: str) -> Callable[..., ExplainFunction]:
    """Returns the function of `METHODS` with a name.

    Args:
        method: the name; underscores stand for hyphens.

    Returns:
        The function that takes a model and a layer and returns a function of images.

    Raises:
        SemenetError: there is no such method.

    Example:
        >>> semenet.inference.method_function("layer_cam") is semenet.inference.layer_cam_function
        True
    """
    return METHODS[method_name(method)]


def method_name(method: str) -> str:
    """Returns the name of a method as in `METHODS`: "layer_cam" is "layer-cam".

    Raises:
        SemenetError: there is no such method.
    """
    name = method.replace("_", "-")
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, n=1)
        raise SemenetError(
            f"`method` must be one of {', '.join(METHODS)}. Received: {method!r}. "
            + (f"Did you mean {close[0]!r}?" if close else "Use 'grad-cam', which works with every head.")
        )
    return name
