"""The heads of the networks: the layers that classify, with the names of the classes."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from semenet.errors import SemenetError

# Columns of the tables in which each class has a column too.
RESERVED_NAMES = ("file", "label", "mask", "patient", "predicted")


def check_class_names(class_names: Iterable[str]) -> tuple[str, ...]:
    """Checks class names and returns them as a tuple, in Unicode's normal form NFC as in a manifest.

    Raises:
        SemenetError: there are no names, or blank, repeated or reserved ones, or one contains `|`.
    """
    # The letters of a text are no classes.
    given = () if isinstance(class_names, str) else class_names
    names = tuple(unicodedata.normalize("NFC", name) if isinstance(name, str) else name for name in given)
    reserved = [name for name in names if name in RESERVED_NAMES]
    if reserved:
        raise SemenetError(
            "Class names become columns of tables that also have the columns "
            f"{', '.join(RESERVED_NAMES)}. Received: {', '.join(reserved)}. Choose other names."
        )
    joined = [name for name in names if isinstance(name, str) and "|" in name]
    if joined:
        raise SemenetError(
            "Class names must not contain |, which joins the classes of a partial label (bacteria|virus). "
            f"Received: {', '.join(joined)}. Choose other names."
        )
    if not names or len(set(names)) != len(names) or not all(_is_name(name) for name in names):
        raise SemenetError(
            "Class names must be one or more distinct, non-empty strings. "
            f"Received: {class_names!r}. Give one name per class, in the order of the outputs."
        )
    return names


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip())


@keras.saving.register_keras_serializable("semenet")
class ClassifierHead(keras.layers.Dense):
    """A dense classification layer that stores the names of its classes.

    The layer computes in float32 under every dtype policy. Its kernel is initialised He-uniform by default.

    Args:
        class_names: sequence of K distinct str, in the order of the outputs.
        inference_clahe: bool. Whether images must get CLAHE before the network, as in its training. The
            layer only stores this setting; preprocessing reads it.
        lungs_alone: bool. Whether everything outside the lungs must be made black before the network, as in
            its training. The layer only stores this setting; preprocessing reads it.
        lungs_box: bool. Whether images must be cut to the bounding box of the lungs before the network. Like
            the next two settings, the layer only stores it.
        lungs_box_margin: float. Margin around that box, as a share of its sides.
        standardize: bool. Whether grey levels inside the lungs must be stretched to fixed percentiles.
        **kwargs: arguments of `keras.layers.Dense` except `units`.

    Call arguments:
        inputs: features `(N, C)`, any floating dtype.

    Input shape:
        `(N, C)`.

    Output shape:
        `(N, K)`, float32: probabilities for softmax and sigmoid, logits for linear.

    Raises:
        SemenetError: there are no class names, or blank, repeated or reserved ones.

    Example:
        >>> import keras
        >>> from semenet.models import ClassifierHead
        >>> features = keras.Input((128,))
        >>> head = ClassifierHead(("normal", "pneumonia"), activation="softmax", name="head")
        >>> head(features).shape, head.class_names
        ((None, 2), ('normal', 'pneumonia'))
    """

    def __init__(
        self,
        class_names: Sequence[str],
        inference_clahe: bool = False,
        lungs_alone: bool = False,
        lungs_box: bool = False,
        lungs_box_margin: float = 0.04,
        standardize: bool = False,
        **kwargs: Any,
    ) -> None:
        self.class_names = check_class_names(class_names)
        self.inference_clahe = inference_clahe
        self.lungs_alone = lungs_alone
        self.lungs_box = lungs_box
        self.lungs_box_margin = lungs_box_margin
        self.standardize = standardize
        kwargs = {"dtype": "float32", "kernel_initializer": "he_uniform"} | kwargs
        super().__init__(len(self.class_names), **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["units"]
        own = {"inference_clahe": self.inference_clahe, "lungs_alone": self.lungs_alone}
        # Left out where they change nothing, so that files and hashes of such networks stay as they were.
        if self.lungs_box:
            own |= {"lungs_box": True, "lungs_box_margin": self.lungs_box_margin}
        if self.standardize:
            own |= {"standardize": True}
        return config | own | {"class_names": list(self.class_names)}


@keras.saving.register_keras_serializable("semenet")
class SegmentationHead(keras.layers.Conv2D):
    """A 1 x 1 convolution that classifies each pixel and stores the names of its classes.

    The layer computes in float32 under every dtype policy. Its kernel is initialised He-uniform by default.

    Args:
        class_names: sequence of K distinct str, in the order of the output channels.
        inference_clahe: bool, as for `ClassifierHead`.
        **kwargs: arguments of `keras.layers.Conv2D` except `filters` and `kernel_size`.

    Call arguments:
        inputs: feature map `(N, H, W, C)`, any floating dtype.

    Input shape:
        `(N, H, W, C)`.

    Output shape:
        `(N, H, W, K)`, float32: probabilities for softmax and sigmoid, logits for linear.

    Raises:
        SemenetError: there are no class names, or blank, repeated or reserved ones.

    Example:
        >>> import keras
        >>> from semenet.models import SegmentationHead
        >>> features = keras.Input((64, 64, 16))
        >>> SegmentationHead(("lung",), activation="sigmoid")(features).shape
        (None, 64, 64, 1)
    """

    def __init__(self, class_names: Sequence[str], inference_clahe: bool = False, **kwargs: Any) -> None:
        self.class_names = check_class_names(class_names)
        self.inference_clahe = inference_clahe
        kwargs = {"dtype": "float32", "kernel_initializer": "he_uniform"} | kwargs
        super().__init__(len(self.class_names), 1, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["filters"], config["kernel_size"]
        own = {"class_names": list(self.class_names), "inference_clahe": self.inference_clahe}
        return config | own


def global_average(x: keras.KerasTensor) -> keras.KerasTensor:
    """Averages a feature map `(N, H, W, C)` over its positions to `(N, C)`, in float32."""
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)


def flatten(x: keras.KerasTensor, units: Sequence[int] = ()) -> keras.KerasTensor:
    """Flattens a feature map `(N, H, W, C)` and applies one hidden layer for each of `units`.

    Args:
        x: feature map of known height and width.
        units: sizes of the ReLU layers `fc1`, `fc2`, ... (VGG19 has two of 4096).

    Returns:
        `(N, H * W * C)`, or `(N, units[-1])`.
    """
    x = keras.layers.Flatten(name="flatten")(x)
    for number, size in enumerate(units, start=1):
        x = keras.layers.Dense(size, activation="relu", kernel_initializer="he_uniform", name=f"fc{number}")(
            x
        )
    return x
