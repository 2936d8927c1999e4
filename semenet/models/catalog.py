"""The catalogue: every network by name. Listing it loads no Keras; building does."""

import dataclasses
import difflib
import fnmatch
import inspect
import numbers
from collections.abc import Sequence

from semenet.errors import SemenetError

MINIMUM_SIDE = 32
DATASET1_CLASSES = ("normal", "bacteria", "virus")
ACTIVATIONS = ("softmax", "sigmoid", "linear")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network of the zoo.

    Attributes:
        backbone: "vgg19", "resnet50", "densenet169" or "unet".
        head: "flatten" (the paper's base networks), "gap" or "segmentation".
        input_size: pixels, the default height and width.
        parameters: trainable and not, at the default input (one channel) and classes.
        paper: where the paper has it.
        squeeze_excite: whether it has squeeze-and-excitation blocks.
        moment_exchange: whether it has a MoEx layer.
        class_names: the default classes, in the order of the outputs.
        hidden_units: sizes of a flatten head's hidden layers.
    """

    backbone: str
    head: str
    input_size: int
    parameters: int
    paper: str
    squeeze_excite: bool = False
    moment_exchange: bool = False
    class_names: tuple[str, ...] = DATASET1_CLASSES
    hidden_units: tuple[int, ...] = ()

    @property
    def segments(self):
        """Whether the network gives a mask and not class probabilities."""
        return self.head == "segmentation"


CATALOG = {
    "vgg19": Entry("vgg19", "flatten", 224, 139_581_379, "table 4, base", hidden_units=(4096, 4096)),
    "vgg19_gap": Entry("vgg19", "gap", 512, 20_024_771, "table 4, GAP"),
    "resnet50": Entry("resnet50", "flatten", 224, 23_882_499, "table 4, base"),
    "resnet50_gap": Entry("resnet50", "gap", 512, 23_587_587, "table 4, GAP"),
    "se_resnet50": Entry("resnet50", "gap", 512, 26_118_579, "table 4, SE", squeeze_excite=True),
    "moex_resnet50": Entry("resnet50", "gap", 512, 23_587_587, "table 5, MoEx", moment_exchange=True),
    "seme_resnet50": Entry(
        "resnet50",
        "gap",
        512,
        26_118_579,
        "tables 4 and 5, SEME",
        squeeze_excite=True,
        moment_exchange=True,
    ),
    "densenet169": Entry("densenet169", "flatten", 224, 12_881_219, "table 4, base"),
    "densenet169_gap": Entry("densenet169", "gap", 512, 12_641_603, "table 4, GAP"),
    "se_densenet169": Entry("densenet169", "gap", 512, 13_299_947, "table 4, SE", squeeze_excite=True),
    "moex_densenet169": Entry("densenet169", "gap", 512, 12_641_603, "table 5, MoEx", moment_exchange=True),
    "seme_densenet169": Entry(
        "densenet169",
        "gap",
        512,
        13_299_947,
        "tables 4 and 5, SEME",
        squeeze_excite=True,
        moment_exchange=True,
    ),
    "unet": Entry("unet", "segmentation", 512, 20_563_265, "figure 15, lungs", class_names=("lung",)),
}


def list_models(pattern="*"):
    """Names of the entries that match a shell pattern, in the catalogue's order.

    Args:
        pattern: str such as "seme_*".

    Returns:
        list of str, empty if none matches.
    """
    return fnmatch.filter(CATALOG, pattern)


def find_entry(name):
    """The catalogue's entry of a name.

    Raises:
        ValueError: for an unknown name; the message lists the closest ones.
    """
    if name not in CATALOG:
        close = difflib.get_close_matches(str(name).lower(), CATALOG, n=3, cutoff=0.4)
        raise SemenetError(
            f"A network is built by its name in the catalogue. Received: {name!r}. "
            f"Closest: {', '.join(close or CATALOG)}. semenet.list_models() lists all."
        )
    return CATALOG[name]


def build(name, *, classes=None, input_shape=None, weights=None, activation=None, **architecture):
    """Builds a network of the catalogue as a flat functional Keras model.

    The model takes images in [0, 255], uint8 or float, and scales them itself. Its layer `features` gives
    the last feature map, `head` the outputs. A convolution's and a hidden layer's kernels are He-uniform.

    Args:
        name: entry's name, see `list_models()`.
        classes: int or sequence of names, in the order of the outputs. None: those of the weights, else
            the entry's own (`normal, bacteria, virus`; `lung` for `unet`).
        input_shape: `(H, W, C)`: sides of 32 or more or None (not for flatten heads), C 1 (grey) or 3 (RGB).
            None: that of the weights, else the entry's size, grey.
        weights: None for random ones; "imagenet", the backbone from keras.applications' file (downloaded);
            the name of published weights (`semenet list` shows them); or the path of a `.keras` file, a run
            folder or a `.weights.h5` file. A head with other classes than the source's starts anew.
        activation: "softmax", "sigmoid" or "linear" (logits). None: that of published weights, else softmax;
            sigmoid for `unet`.
        **architecture: `width` and `depth` (1.0, the full size); but for VGG19 `bn_momentum`; of entries with
            squeeze-and-excitation `se_ratio` (16) and `se_placement`; of entries with MoEx `moex_p` (0.5),
            `moex_lam` (0.9) and `moex_position`. Left out: those of published weights, else these.

    Returns:
        `keras.Model`, a `MoExModel` for MoEx entries, with the attribute `class_names`. Output:
        float32 `(N, K)`, or `(N, H, W, K)` for `unet`.

    Raises:
        ValueError: for an unknown name, a bad shape, class count, activation or weight source.
        TypeError: for an architecture argument that the entry does not have.
    """
    # Keras takes seconds to import: whoever only lists the catalogue does not wait for it.
    import keras

    from semenet.models.layers import heads
    from semenet.models.layers.input_scaling import scale_input
    from semenet.models.layers.moment_exchange import MoExModel, MomentExchange
    from semenet.models.weights import sources as weight_files

    entry = find_entry(name)
    source = weight_files.find(name, weights)
    if source is not None:
        classes = source.class_names if classes is None else classes
        input_shape = source.input_shape if input_shape is None else input_shape
        activation = source.activation if activation is None else activation
    class_names = _class_names(entry, classes)
    shape = _check_shape(name, entry, input_shape)
    activation = _check_activation(entry, activation, class_names)
    known = {} if source is None else source.architecture
    arguments = _backbone_arguments(name, entry, {**known, **architecture})
    if entry.moment_exchange:
        exchange = {key: arguments.pop(f"moex_{key}") for key in ("p", "lam")}
        arguments["moex"] = MomentExchange(**exchange, name="moex")

    image = keras.Input(shape, name="image")
    x = scale_input(image, entry.backbone, imagenet=source is not None and source.imagenet_scaling)
    x = _backbone(entry.backbone)(x, **arguments)
    x = keras.layers.Identity(name="features")(x)
    if entry.segments:
        outputs = heads.SegmentationHead(class_names, activation=activation, name="head")(x)
    else:
        units = _hidden_units(entry, arguments)
        x = heads.global_average(x) if entry.head == "gap" else heads.flatten(x, units)
        outputs = heads.ClassifierHead(class_names, activation=activation, name="head")(x)
    model_class = MoExModel if entry.moment_exchange else keras.Model
    model = model_class(image, outputs, name=name)
    model.class_names = class_names
    if source is not None:
        source.load_into(model)
    return model


def architecture_arguments(name):
    """The architecture arguments an entry takes, with their defaults, as a dict."""
    entry = find_entry(name)
    parameters = inspect.signature(_backbone(entry.backbone)).parameters
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


def _backbone(backbone):
    from semenet.models.backbones import densenet, resnet, vgg
    from semenet.models.backbones import u_net as unet

    functions = {
        "vgg19": vgg.vgg19,
        "resnet50": resnet.resnet50,
        "densenet169": densenet.densenet169,
        "unet": unet.unet,
    }
    return functions[backbone]


def _backbone_arguments(name, entry, architecture):
    arguments = architecture_arguments(name)
    unknown = sorted(set(architecture) - set(arguments))
    if unknown:
        raise TypeError(
            f"`{name}` takes the architecture arguments {', '.join(arguments)}. "
            f"Received: {', '.join(unknown)}. Leave them out, or choose an entry that has them."
        )
    return arguments | architecture


def _hidden_units(entry, arguments):
    from semenet.models.backbones.variants import channels

    return tuple(channels(units, arguments["width"]) for units in entry.hidden_units)


def _class_names(entry, classes):
    from semenet.models.layers.heads import check_class_names

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
    if classes == len(entry.class_names):
        return entry.class_names
    return tuple(f"class_{number}" for number in range(classes))


def _check_shape(name, entry, shape):
    if shape is None:
        return (entry.input_size, entry.input_size, 1)
    shape = tuple(_side(side) for side in shape) if isinstance(shape, Sequence) else (shape,)
    sides, channels = shape[:2], shape[-1] if shape else None
    if len(shape) != 3 or channels not in (1, 3):
        raise SemenetError(
            "`input_shape` must be (height, width, channels) with 1 channel (grey) or 3 (RGB). "
            f"Received: {shape}. Use for example ({entry.input_size}, {entry.input_size}, 1)."
        )
    if any(side is not None and (not isinstance(side, int) or side < MINIMUM_SIDE) for side in sides):
        raise SemenetError(
            f"Every side of the input must be an integer of {MINIMUM_SIDE} pixels or more, since the "
            f"networks halve it five times. Received: {shape}. Use {MINIMUM_SIDE} or more."
        )
    if None in sides and entry.head == "flatten":
        raise SemenetError(
            f"`{name}` flattens its feature map, so both sides of its input must be known. "
            f"Received: {shape}. Give them, or build `{entry.backbone}_gap`, which takes any size."
        )
    return shape


def _side(side):
    return int(side) if isinstance(side, numbers.Integral) else side


def _check_activation(entry, activation, class_names):
    if activation is None:
        activation = "sigmoid" if entry.segments else "softmax"
    if activation not in ACTIVATIONS:
        raise SemenetError(
            f"`activation` of the head must be one of {', '.join(ACTIVATIONS)}. "
            f"Received: {activation!r}. Use 'linear' for logits."
        )
    if activation == "softmax" and len(class_names) == 1:
        raise SemenetError(
            "Softmax needs two or more classes: over one it is always 1. "
            f"Received: {class_names}. Use activation='sigmoid'."
        )
    return activation
