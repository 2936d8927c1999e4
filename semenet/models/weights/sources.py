"""Where a network's weights come from: find them, verify them, load them."""

import dataclasses
import pathlib
import types
import warnings

import h5py
import keras
import numpy as np

from semenet.models.catalog import build, find_entry
from semenet.models.layers.input_scaling import has_imagenet_scaling
from semenet.models.weights.loading import WeightsError, load_model
from semenet.models.weights.published import Published, find_published, published_names
from semenet.storage.hashing import file_sha256


def find(entry_name, weights):
    """Finds the source that `build(weights=...)` names.

    Args:
        entry_name: the entry to be built.
        weights: None, "imagenet", a published name, or a path.

    Returns:
        None, or an object with `class_names`, `input_shape` and `activation` (each may be None),
        `imagenet_scaling` (bool), `architecture` (dict of the arguments it was built with, as far as it is
        known to differ from the entry's) and `load_into(model)`.

    Raises:
        WeightsError: if there is no such source; the message lists the published ones.
        NoWeightsError: if of this name figures alone are published.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        return ImageNet(find_entry(entry_name).backbone)
    known = find_published(entry_name, str(weights))
    if known is not None:
        return PublishedWeights(entry_name, known)
    path = pathlib.Path(weights)
    if not path.exists():
        names = ", ".join(["imagenet", *published_names(entry_name)])
        raise WeightsError(
            "`weights` must be None, a name or the path of a .keras file, run folder or .weights.h5 file "
            f"that exists. Received: {str(weights)!r}. Names of `{entry_name}` here: {names}."
        )
    if path.name.endswith((".weights.h5", ".weights.json")):
        return WeightsFile(path)
    model = load_model(path)
    if not hasattr(model, "class_names"):
        raise WeightsError(
            "Weights are copied from a network of the zoo, by its layers' names. "
            f"Received: {path}, whose network has no `head` that names its classes."
            " Give one that semenet.build made."
        )
    return SavedModel(model, path)


# keras.applications' name of a backbone, and the first kernel of those that take BGR: ours take RGB, so that
# it is turned round.
APPLICATIONS = {"vgg19": "VGG19", "resnet50": "ResNet50", "densenet169": "DenseNet169"}
_BGR_KERNELS = {"vgg19": "block1_conv1", "resnet50": "conv1_conv"}


@dataclasses.dataclass(frozen=True)
class ImageNet:
    """keras.applications' weights of a backbone, from its own file."""

    backbone: str
    class_names = None
    input_shape = None
    activation = None
    imagenet_scaling = True
    architecture = types.MappingProxyType({})

    def load_into(self, model):
        """Downloads (once) and copies the backbone's weights by layer name.

        Raises:
            WeightsError: if the model is not at full width and depth.
        """
        application = getattr(keras.applications, APPLICATIONS[self.backbone])
        base = application(include_top=False, weights="imagenet", input_shape=(None, None, 3))
        flipped = _BGR_KERNELS.get(self.backbone)
        values = {layer.name: layer.get_weights() for layer in base.layers if layer.weights}
        if flipped:
            kernel, *rest = values[flipped]
            values[flipped] = [kernel[:, :, ::-1], *rest]
        _copy(values, model, "ImageNet", required=values)


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """The weights of a `.keras` file or a run folder."""

    model: keras.Model
    path: pathlib.Path
    activation = None
    architecture = types.MappingProxyType({})

    @property
    def class_names(self):
        """tuple of str, in the order of the outputs."""
        return self.model.class_names

    @property
    def input_shape(self):
        """`(height, width, channels)`."""
        return self.model.input_shape[1:]

    @property
    def imagenet_scaling(self):
        """bool, whether its weights go back to keras.applications' and want that input scaling."""
        return has_imagenet_scaling(self.model)

    def load_into(self, model):
        """Copies the weights by layer name; the head's too, if its classes are the same.

        Raises:
            WeightsError: if a layer is missing on either side or has another shape.
        """
        values = {layer.name: layer.get_weights() for layer in self.model.layers if layer.weights}
        if model.class_names != self.class_names:
            del values["head"]
            warnings.warn(
                f"The head starts with random weights: {self.path} has the classes "
                f"{self.class_names}, the new network {model.class_names}.",
                stacklevel=3,
            )
        required = [layer.name for layer in model.layers if layer.weights and layer.name != "head"]
        _copy(values, model, self.path, required)


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """Weights of the zoo, whose metadata names the network they belong to."""

    entry_name: str
    published: Published

    @property
    def class_names(self):
        """tuple of str, in the order of the outputs."""
        return self.published.class_names

    @property
    def input_shape(self):
        """`(height, width, channels)`."""
        return self.published.input_shape

    @property
    def activation(self):
        """str, of the head they belong to."""
        return self.published.activation

    @property
    def imagenet_scaling(self):
        """bool, whether they go back to keras.applications' and want that input scaling."""
        return self.published.imagenet_scaling

    @property
    def architecture(self):
        """dict, the architecture arguments of the network they belong to."""
        return self.published.architecture

    def load_into(self, model):
        """Verifies every file's hash, then loads the weights; the head's too, if its classes are the same.

        Raises:
            WeightsError: a file is absent or has another hash, or the network is another than theirs.
        """
        verify(self.published)
        if model.class_names == self.class_names:
            WeightsFile(self.published.path).load_into(model)
        else:
            network = build(
                self.entry_name, classes=self.class_names, input_shape=self.input_shape, **self.architecture
            )
            WeightsFile(self.published.path).load_into(network)
            SavedModel(network, self.published.path).load_into(model)
        head = model.get_layer("head")
        head.inference_clahe = self.published.inference_clahe
        if not find_entry(self.entry_name).segments:
            head.lungs_alone = self.published.lungs_alone


def verify(published):
    """Checks that the files of published weights are those that their metadata describe.

    Args:
        published: `semenet.models.weights.published.Published`.

    Raises:
        WeightsError: a file is absent, or has another size or hash.
    """
    for name, expected in published.files.items():
        path = published.folder / name
        if not path.is_file():
            raise WeightsError(
                "Published weights have all the files that their metadata.json names. "
                f"Received: {published.folder} without {name}. Fetch the folder again."
            )
        digest = file_sha256(path)
        if digest != expected["sha256"]:
            raise WeightsError(
                f"Published weights must have the hash of their metadata.json. Received: {path} "
                f"with sha256 {digest}, expected {expected['sha256']}. Fetch the file again."
            )


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A `.weights.h5` file, which names neither classes nor sizes: the model must equal its maker.

    Nor does it tell that its weights go back to ImageNet's: give the `.keras` file of such a network. A
    `.weights.json` file names the `.weights.h5` files that it is split into.
    """

    path: pathlib.Path
    class_names = None
    input_shape = None
    activation = None
    imagenet_scaling = False
    architecture = types.MappingProxyType({})

    def load_into(self, model):
        """Loads the file.

        Raises:
            WeightsError: for a broken file, or one of another network.
        """
        if self.path.name.endswith(".weights.h5") and not h5py.is_hdf5(self.path):
            raise WeightsError(
                f"A .weights.h5 file must be a complete HDF5 file. Received: {self.path}, "
                f"{self.path.stat().st_size} bytes, which is none. Fetch or write it again."
            )
        try:
            model.load_weights(self.path)
        except (ValueError, KeyError, OSError) as error:
            raise WeightsError(
                "A .weights.h5 file fits the very network that wrote it: entry, channels, classes, width "
                f"and depth. Received: {self.path} for `{model.name}` with {len(model.class_names)} classes, "
                f"{model.count_params():,} parameters. To fine-tune to other classes give a .keras file. "
                f"Keras says: {error}"
            ) from error


def _copy(values, model, source, required):
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    named = dict.fromkeys([*required, *values])
    missing = [name for name in named if name not in values or name not in layers]
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
