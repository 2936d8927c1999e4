"""Builds every network of the catalogue by its name."""

import inspect
import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from semenet.errors import SemenetError, WrongTypeError
from semenet.models.backbones.densenet import densenet169
from semenet.models.backbones.resnet import resnet50
from semenet.models.backbones.u_net import unet
from semenet.models.backbones.variants import scaled_channels
from semenet.models.backbones.vgg import vgg19
from semenet.models.entries import Entry, find_entry
from semenet.models.layers.heads import (
    ClassifierHead,
    SegmentationHead,
    check_class_names,
    flatten,
    global_average,
)
from semenet.models.layers.input_scaling import scale_input
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange
from semenet.models.layers.zoo_model import ZooModel
from semenet.models.weights.sources import find_source

MINIMUM_SIDE = 32
ACTIVATIONS = ("softmax", "sigmoid", "linear")
_BACKBONES = {"vgg19": vgg19, "resnet50": resnet50, "densenet169": densenet169, "unet": unet}

Shape = tuple[int | None, int | None, int]


def build(
    name: str,
    *,
    classes: int | Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    weights: str | Path | None = None,
    activation: str | None = None,
    **architecture: Any,
) -> keras.Model:
    """Builds a network of the catalogue as a flat functional Keras model.

    The model takes images with values in [0, 255], uint8 or float, and scales them itself. Its layer
    `features` outputs the last feature map, its layer `head` the predictions. The kernels of convolutions
    and hidden layers are initialised He-uniform.

    Args:
        name: name of the entry, see `list_models()`.
        classes: the names of the classes in the order of the outputs, or their number, which names them
            `class_0`, `class_1`, ... unless the weights have as many classes, whose names it then keeps.
            None: the classes of the weights, else the default classes of the entry (`normal, bacteria,
            virus`; `lung` for `unet`).
        input_shape: `(H, W, C)`. Each side is 32 or more, or None (not for flatten heads); C is 1 (grey) or
            3 (RGB). None: the shape of the weights, else the default size of the entry, grey.
        weights: None for random weights; "imagenet" for the backbone weights of keras.applications
            (downloaded); the name of published weights (`semenet list` shows them); or the path of a
            `.keras` file, a run folder or a `.weights.h5` file. If the classes differ from those of the
            weights, the head keeps random weights.
        activation: "softmax", "sigmoid" or "linear" (logits). None: the activation of published weights,
            else softmax; sigmoid for `unet`.
        **architecture: `width` and `depth` (1.0, the full size); `bn_momentum`, except for VGG19; `se_ratio`
            (16) and `se_placement` for entries with squeeze-and-excitation; `moex_p` (0.5), `moex_lam` (0.9)
            and `moex_position` for entries with MoEx. Arguments left out have the values of published
            weights, else these defaults.

    Returns:
        `keras.Model` with the attribute `class_names`: a `ZooModel`, for MoEx entries a `MoExModel`. Output:
        float32 `(N, K)`, or `(N, H, W, K)` for `unet`.

    Raises:
        SemenetError: for an unknown name, or an invalid shape, class count, activation or weight source.
        WrongTypeError: for an architecture argument that the entry does not have.

    Example:
        >>> import semenet
        >>> model = semenet.build("seme_resnet50", classes=("normal", "pneumonia"), width=0.25, depth=0.34)
        >>> model.input_shape, model.output_shape, model.class_names
        ((None, 512, 512, 1), (None, 2), ('normal', 'pneumonia'))
    """
    entry = find_entry(name)
    source = find_source(name, weights)
    if source is not None:
        classes = source.class_names if classes is None else classes
        input_shape = source.input_shape if input_shape is None else input_shape
        activation = source.activation if activation is None else activation
    class_names = _class_names(entry, classes, None if source is None else source.class_names)
    shape = _check_shape(name, entry, input_shape)
    activation = _check_activation(entry, activation, class_names)
    of_source = {} if source is None else source.architecture
    arguments = _backbone_arguments(name, entry, {**of_source, **architecture})
    if entry.moment_exchange:
        exchange = {key: arguments.pop(f"moex_{key}") for key in ("p", "lam")}
        arguments["moex"] = MomentExchange(**exchange, name="moex")

    image = keras.Input(shape, name="image")
    x = scale_input(image, entry.backbone, imagenet=source is not None and source.imagenet_scaling)
    x = _BACKBONES[entry.backbone](x, **arguments)
    x = keras.layers.Identity(name="features")(x)
    if entry.segments:
        outputs = SegmentationHead(class_names, activation=activation, name="head")(x)
    else:
        hidden_units = tuple(scaled_channels(units, arguments["width"]) for units in entry.hidden_units)
        x = global_average(x) if entry.head == "gap" else flatten(x, hidden_units)
        outputs = ClassifierHead(class_names, activation=activation, name="head")(x)
    model_class = MoExModel if entry.moment_exchange else ZooModel
    model = model_class(image, outputs, name=name)
    if source is not None:
        source.load_into(model)
    return model


def architecture_arguments(name: str) -> dict[str, Any]:
    """Returns the architecture arguments that `build` takes for an entry, with their defaults.

    Args:
        name: name of the entry.

    Raises:
        SemenetError: for an unknown name.

    Example:
        >>> from semenet.models import architecture_arguments
        >>> architecture_arguments("se_resnet50")
        {'width': 1.0, 'depth': 1.0, 'bn_momentum': 0.9, 'se_ratio': 16, 'se_placement': 'standard'}
    """
    entry = find_entry(name)
    parameters = inspect.signature(_BACKBONES[entry.backbone]).parameters
    arguments = {
        key: parameter.default
        for key, parameter in parameters.items()
        if key not in ("x", "moex") and not key.startswith(("se_", "moex_"))
    }
    if entry.squeeze_excite:
        arguments |= {"se_ratio": 16, "se_placement": parameters["se_placement"].default}
    if entry.moment_exchange:
        position = parameters["moex_position"].default
        arguments |= {"moex_p": 0.5, "moex_lam": 0.9, "moex_position": position}
    return arguments


def _backbone_arguments(name: str, entry: Entry, architecture: Mapping[str, Any]) -> dict[str, Any]:
    arguments = architecture_arguments(name)
    unknown = sorted(set(architecture) - set(arguments))
    if unknown:
        raise WrongTypeError(
            f"`{name}` takes the architecture arguments {', '.join(arguments)}. "
            f"Received: {', '.join(unknown)}. Leave them out, or choose an entry that has them."
        )
    return arguments | architecture


def _class_names(
    entry: Entry, classes: int | Sequence[str] | None, of_weights: Sequence[str] | None
) -> tuple[str, ...]:
    if classes is None:
        return entry.class_names
    if isinstance(classes, numbers.Integral) and not isinstance(classes, bool):
        classes = int(classes)
    if isinstance(classes, bool) or (isinstance(classes, int) and classes < 1):
        raise SemenetError(
            "`classes` must be a positive integer or a sequence of class names. "
            f"Received: {classes!r}. Leave it out for {', '.join(entry.class_names)}."
        )
    if not isinstance(classes, int) and (isinstance(classes, str) or not isinstance(classes, Sequence)):
        raise SemenetError(
            "`classes` must be a positive integer or a sequence of class names. "
            f"Received: {type(classes).__name__} {classes!r}. Put the names into a tuple, in order."
        )
    if not isinstance(classes, int):
        return check_class_names(classes)
    # A number says nothing about diseases: folders in alphabetical order would get the names of others.
    if of_weights is not None and classes == len(of_weights):
        return tuple(of_weights)
    return tuple(f"class_{number}" for number in range(classes))


def _check_shape(name: str, entry: Entry, shape: Sequence[int | None] | None) -> Shape:
    if shape is None:
        return (entry.input_size, entry.input_size, 1)
    shape = tuple(_as_int(side) for side in shape) if isinstance(shape, Sequence) else (shape,)
    sides, channels = shape[:2], shape[-1] if shape else None
    if len(shape) != 3 or channels not in (1, 3):
        raise SemenetError(
            "`input_shape` must be (height, width, channels) with 1 channel (grey) or 3 (RGB). "
            f"Received: {shape}. Use for example ({entry.input_size}, {entry.input_size}, 1)."
        )
    if any(side is not None and (not isinstance(side, int) or side < MINIMUM_SIDE) for side in sides):
        raise SemenetError(
            f"Every side of the input must be an integer of {MINIMUM_SIDE} pixels or more, because the "
            f"networks halve it five times. Received: {shape}. Use {MINIMUM_SIDE} or more."
        )
    if None in sides and entry.head == "flatten":
        raise SemenetError(
            f"`{name}` flattens its feature map, so both sides of its input must be known. "
            f"Received: {shape}. Give both sides, or build `{entry.backbone}_gap`, which takes any size."
        )
    return shape


def _as_int(side: Any) -> Any:
    return int(side) if isinstance(side, numbers.Integral) else side


def _check_activation(entry: Entry, activation: str | None, class_names: tuple[str, ...]) -> str:
    if activation is None:
        activation = "sigmoid" if entry.segments else "softmax"
    if activation not in ACTIVATIONS:
        raise SemenetError(
            f"`activation` of the head must be one of {', '.join(ACTIVATIONS)}. "
            f"Received: {activation!r}. Use 'linear' for logits."
        )
    if activation == "softmax" and len(class_names) == 1:
        raise SemenetError(
            "Softmax needs two or more classes: for one class its output is always 1. "
            f"Received: {class_names}. Use activation='sigmoid'."
        )
    return activation
