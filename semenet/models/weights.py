"""Where a network's weights come from: find them, verify them, load them."""

import dataclasses
import hashlib
import pathlib
import warnings

import h5py
import keras
import numpy as np

from semenet.models.catalog import find_entry
from semenet.models.loading import WeightsError, load_model
from semenet.models.published import published

# RGB means on [0, 255] and, where there is one, standard deviations, from keras.applications'
# imagenet_utils.py: "caffe" mode (VGG19, ResNet50) and "torch" mode (DenseNet169).
_CAFFE = {"scale": 1.0, "offset": (-123.68, -116.779, -103.939)}
_TORCH = {
    "scale": tuple(1 / (255 * deviation) for deviation in (0.229, 0.224, 0.225)),
    "offset": (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
}
APPLICATIONS = {"vgg19": "VGG19", "resnet50": "ResNet50", "densenet169": "DenseNet169"}
IMAGENET_SCALING = {"vgg19": _CAFFE, "resnet50": _CAFFE, "densenet169": _TORCH}
# keras.applications' models in caffe mode take BGR; ours take RGB, so their first kernels are turned round.
IMAGENET_FIRST_KERNEL = {"vgg19": "block1_conv1", "resnet50": "conv1_conv"}


def scale_input(image, backbone, imagenet):
    """Scales images from [0, 255] to what the backbone expects, inside the model and in float32.

    Args:
        image: `(N, H, W, 1 or 3)`, values in [0, 255].
        backbone: its name in the catalogue.
        imagenet: bool, whether it holds keras.applications' weights, which want their own scaling and, of
            a grey image, three equal channels.

    Returns:
        `(N, H, W, C)`: in [-1, 1], or standardised as keras.applications does.

    Raises:
        ValueError: if keras.applications has no such backbone.
    """
    if not imagenet:
        return keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="rescaling")(image)
    if backbone not in IMAGENET_SCALING:
        raise ValueError(
            "weights='imagenet' takes a backbone that keras.applications publishes: "
            f"{', '.join(IMAGENET_SCALING)}. Received: {backbone!r}. Leave the weights out."
        )
    if image.shape[-1] == 1:
        image = keras.layers.Concatenate(dtype="float32", name="grey_to_rgb")([image] * 3)
    return keras.layers.Rescaling(**IMAGENET_SCALING[backbone], dtype="float32", name="rescaling")(image)


def find(entry_name, weights):
    """Finds the source that `build(weights=...)` names.

    Args:
        entry_name: the entry to be built.
        weights: None, "imagenet", a published name, or a path.

    Returns:
        None, or an object with `class_names` and `input_shape` (each may be None) and `load_into(model)`.

    Raises:
        WeightsError: if there is no such source; the message lists the published ones.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        return ImageNet(find_entry(entry_name).backbone)
    known = published(entry_name)
    if str(weights) in known:
        return WeightsFile(**dataclasses.asdict(known[str(weights)]))
    path = pathlib.Path(weights)
    if not path.exists():
        names = ", ".join(["imagenet", *known])
        raise WeightsError(
            "`weights` must be None, a name or the path of a .keras file, run folder or .weights.h5 file "
            f"that exists. Received: {str(weights)!r}. Names of `{entry_name}` here: {names}."
        )
    if path.name.endswith(".weights.h5"):
        return WeightsFile(path)
    return SavedModel(load_model(path), path)


@dataclasses.dataclass(frozen=True)
class ImageNet:
    """keras.applications' weights of a backbone, from its own file."""

    backbone: str
    class_names = None
    input_shape = None

    def load_into(self, model):
        """Downloads (once) and copies the backbone's weights by layer name.

        Raises:
            WeightsError: if the model is not at full width and depth.
        """
        application = getattr(keras.applications, APPLICATIONS[self.backbone])
        base = application(include_top=False, weights="imagenet", input_shape=(None, None, 3))
        flipped = IMAGENET_FIRST_KERNEL.get(self.backbone)
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

    @property
    def class_names(self):
        return self.model.class_names

    @property
    def input_shape(self):
        return self.model.input_shape[1:]

    def load_into(self, model):
        """Copies the weights by layer name; the head's too, if its classes are the same.

        Raises:
            WeightsError: if a layer of the model is missing there or has another shape.
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
class WeightsFile:
    """A `.weights.h5` file, which names neither classes nor sizes: the model must equal its maker."""

    path: pathlib.Path
    class_names: tuple[str, ...] | None = None
    input_shape: tuple[int, int, int] | None = None
    sha256: str | None = None

    def load_into(self, model):
        """Loads the file after verifying its hash, where one was published.

        Raises:
            WeightsError: for another hash, a broken file, or one of another network.
        """
        if self.sha256 is not None:
            digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
            if digest != self.sha256:
                raise WeightsError(
                    f"Published weights must have the hash of their metadata.json. Received: {self.path} "
                    f"with sha256 {digest}, expected {self.sha256}. Fetch the file again."
                )
        if not h5py.is_hdf5(self.path):
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
    missing = [name for name in required if name not in values or name not in layers]
    if missing:
        raise WeightsError(
            "The network and the source of its weights must have the same layers. "
            f"Received: {source} for `{model.name}`; {len(missing)} layers are not in both, "
            f"first {', '.join(missing[:3])}. Build the same entry, at the same depth."
        )
    for name, arrays in values.items():
        if name not in layers:
            continue
        expected = [tuple(weight.shape) for weight in layers[name].weights]
        received = [np.shape(array) for array in arrays]
        if expected != received:
            raise WeightsError(
                f"Weights must have the shapes of the layer they go to. Received: {source} with "
                f"{received} for `{model.name}`'s layer {name}, which has {expected}. "
                "Build with the same width, channels and classes."
            )
        layers[name].set_weights(arrays)
