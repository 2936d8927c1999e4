"""The sources of a network's weights: find them, verify them, load them."""

import dataclasses
import types
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from semenet.models.entries import find_entry
from semenet.models.layers.input_scaling import has_imagenet_scaling
from semenet.models.layers.zoo_model import ZooModel
from semenet.models.weights.described_set import PublishedSet, verify_files
from semenet.models.weights.errors import MissingWeightsError, WeightsError
from semenet.models.weights.keras_files import load_keras_file, load_weights_file
from semenet.models.weights.published import find_published, remedy

_NO_ARGUMENTS: Mapping[str, Any] = types.MappingProxyType({})


def find_source(
    entry_name: str, weights: str | Path | None
) -> "ImageNet | SavedModel | PublishedWeights | WeightsFile | None":
    """Finds the source that the argument `weights` of `build` describes.

    Args:
        entry_name: name of the entry to build.
        weights: None, "imagenet", a published name, or a path.

    Returns:
        None, or an object with `class_names`, `input_shape` and `activation` (each may be None),
        `imagenet_scaling` (bool), `architecture` (dict of the architecture arguments that are known to
        differ from the defaults) and `load_into(model)`.

    Raises:
        MissingWeightsError: there is no such source; the message lists the published names.
        WeightsError: the source is not a network of the zoo.
        NoWeightsError: only metrics are published under this name.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        return ImageNet(find_entry(entry_name).backbone)
    published = find_published(entry_name, str(weights))
    if published is not None:
        return PublishedWeights(entry_name, published)
    path = Path(weights)
    if not path.exists():
        raise MissingWeightsError(
            "`weights` must be None, a name, or the path of a .keras file, run folder or .weights.h5 file "
            f"that exists. Received: {str(weights)!r}. {remedy(entry_name, str(weights), imagenet=True)}"
        )
    if path.name.endswith((".weights.h5", ".weights.json")):
        return WeightsFile(path)
    model = load_keras_file(path)
    if not hasattr(model, "class_names"):
        raise WeightsError(
            "Weights are copied from a network of the zoo, by the names of its layers. "
            f"Received: {path}, a network without a `head` that has class names."
            " Give a network that semenet.build made."
        )
    return SavedModel(model, path)


# The name of a backbone in keras.applications, and the first kernel of those that take BGR images. The zoo's
# networks take RGB, so that the channels of this kernel are reversed.
APPLICATIONS = {"vgg19": "VGG19", "resnet50": "ResNet50", "densenet169": "DenseNet169"}
_BGR_KERNELS = {"vgg19": "block1_conv1", "resnet50": "conv1_conv"}


@dataclasses.dataclass(frozen=True)
class ImageNet:
    """The weights of a backbone from keras.applications."""

    backbone: str
    class_names = None
    input_shape = None
    activation = None
    imagenet_scaling = True
    architecture = _NO_ARGUMENTS

    def load_into(self, model: keras.Model) -> None:
        """Downloads the weights (once) and copies them by the names of the layers.

        Raises:
            WeightsError: the model does not have full width and depth.
        """
        application = getattr(keras.applications, APPLICATIONS[self.backbone])
        base = application(include_top=False, weights="imagenet", input_shape=(None, None, 3))
        bgr_layer = _BGR_KERNELS.get(self.backbone)
        values = {layer.name: layer.get_weights() for layer in base.layers if layer.weights}
        if bgr_layer:
            kernel, *rest = values[bgr_layer]
            values[bgr_layer] = [kernel[:, :, ::-1], *rest]
        _copy(values, model, "ImageNet", required=values)


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """The weights of a `.keras` file or a run folder."""

    model: keras.Model
    path: Path
    activation = None
    architecture = _NO_ARGUMENTS

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the outputs."""
        return self.model.class_names

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        """`(height, width, channels)`."""
        return self.model.input_shape[1:]

    @property
    def imagenet_scaling(self) -> bool:
        """Whether the weights started from those of keras.applications, which need its input scaling."""
        return has_imagenet_scaling(self.model)

    def load_into(self, model: keras.Model) -> None:
        """Copies the weights by the names of the layers, those of the head only if the classes are equal.

        Raises:
            WeightsError: a layer is missing on either side or has another shape.
        """
        values = {layer.name: layer.get_weights() for layer in self.model.layers if layer.weights}
        if model.class_names != self.class_names:
            del values["head"]
            _warn_of_a_random_head(self.path, self.class_names, model)
        required = [layer.name for layer in model.layers if layer.weights and layer.name != "head"]
        _copy(values, model, self.path, required)


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """Weights of the zoo, whose metadata describe the network they belong to."""

    entry_name: str
    published: PublishedSet

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the outputs."""
        return self.published.class_names

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        """`(height, width, channels)`."""
        return self.published.input_shape

    @property
    def activation(self) -> str:
        """Activation of the head they belong to."""
        return self.published.activation

    @property
    def imagenet_scaling(self) -> bool:
        """Whether the weights started from those of keras.applications, which need its input scaling."""
        return self.published.imagenet_scaling

    @property
    def architecture(self) -> dict[str, Any]:
        """The architecture arguments of the network they belong to."""
        return self.published.architecture

    def load_into(self, model: keras.Model) -> None:
        """Verifies the hash of every file, then loads the weights.

        The weights of the head are loaded only if the classes are equal.

        Raises:
            WeightsError: a file is missing or has another hash, or the network differs from theirs.
        """
        verify_files(self.published)
        if model.class_names == self.class_names:
            WeightsFile(self.published.path).load_into(model)
        else:
            WeightsFile(self.published.path).load_into(_with_another_head(model, self.class_names))
            _warn_of_a_random_head(self.published.path, self.class_names, model)
        head = model.get_layer("head")
        head.inference_clahe = self.published.inference_clahe
        if not find_entry(self.entry_name).segments:
            head.lungs_alone = self.published.lungs_alone
            for setting, value in self.published.lung_view.items():
                setattr(head, setting, value)


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A `.weights.h5` file, or the `.weights.json` file of weights that are split into several of them.

    Such a file holds neither classes nor sizes: it fits only the network that wrote it. Nor does it hold
    whether its weights started from those of ImageNet: give the `.keras` file of such a network.
    """

    path: Path
    class_names = None
    input_shape = None
    activation = None
    imagenet_scaling = False
    architecture = _NO_ARGUMENTS

    def load_into(self, model: keras.Model) -> None:
        """Loads the file.

        Raises:
            WeightsError: the file is broken, or belongs to another network.
        """
        if self.path.name.endswith(".weights.h5") and not h5py.is_hdf5(self.path):
            raise WeightsError(
                f"A .weights.h5 file must be a complete HDF5 file. Received: {self.path}, "
                f"{self.path.stat().st_size} bytes, which is not one. Fetch it again, or write it again."
            )
        try:
            load_weights_file(model, self.path)
        except (ValueError, KeyError, TypeError, IndexError, OSError, RuntimeError) as error:
            raise WeightsError(
                "A .weights.h5 file fits only the very network that wrote it: entry, channels, classes, "
                f"width and depth. Received: {self.path} for `{model.name}` with {len(model.class_names)} "
                f"classes, {model.count_params():,} parameters. To fine-tune to other classes, give a .keras "
                f"file. Keras says: {error}"
            ) from error


def _with_another_head(model: keras.Model, class_names: tuple[str, ...]) -> keras.Model:
    """Returns a network that shares every layer with `model`, except for a head with other classes."""
    head = model.get_layer("head")
    other_head = type(head).from_config(head.get_config() | {"class_names": class_names})
    return ZooModel(model.inputs, other_head(head.input), name=model.name)


def _warn_of_a_random_head(source: Path, class_names: tuple[str, ...], model: keras.Model) -> None:
    warnings.warn(
        f"The head starts with random weights: {source} has the classes {class_names}, the new network "
        f"{model.class_names}.",
        stacklevel=4,
    )


def _copy(
    values: Mapping[str, list[np.ndarray]], model: keras.Model, source: Path | str, required: Iterable[str]
) -> None:
    """Sets the weights of a model's layers.

    Args:
        values: dict of a layer's name to its arrays.
        model: network to change.
        source: origin of the values, for the error message.
        required: names of the layers that both sides must have.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    names = dict.fromkeys([*required, *values])
    missing = [name for name in names if name not in values or name not in layers]
    if missing:
        raise WeightsError(
            "The network and the source of its weights must have the same layers. "
            f"Received: {source} for `{model.name}`; {len(missing)} layers are not in both, "
            f"first {', '.join(missing[:3])}. Build the same entry, at the same depth."
        )
    for name, arrays in values.items():
        expected = [tuple(weight.shape) for weight in layers[name].weights]
        received = [np.shape(array) for array in arrays]
        if expected != received:
            raise WeightsError(
                f"Weights must have the shapes of the layer they go to. Received: {source} with "
                f"{received} for `{model.name}`'s layer {name}, which has {expected}. "
                "Build with the same width, channels and classes."
            )
        layers[name].set_weights(arrays)
