"""Scales images with values in [0, 255] to the range that a backbone expects, inside the model."""

import keras
import numpy as np

from semenet.errors import SemenetError

# Means of the RGB channels and, for "torch", standard deviations, from imagenet_utils.py of
# keras.applications: its modes "caffe" (VGG19, ResNet50) and "torch" (DenseNet169).
_CAFFE = {"scale": 1.0, "offset": (-123.68, -116.779, -103.939)}
_TORCH = {
    "scale": tuple(1 / (255 * deviation) for deviation in (0.229, 0.224, 0.225)),
    "offset": (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
}
_IMAGENET = {"vgg19": _CAFFE, "resnet50": _CAFFE, "densenet169": _TORCH}


def scale_input(image: keras.KerasTensor, backbone: str, imagenet: bool) -> keras.KerasTensor:
    """Scales images in float32, under every dtype policy.

    Args:
        image: `(N, H, W, 1 or 3)`, values in [0, 255].
        backbone: its name in the catalogue.
        imagenet: whether the weights started from those of keras.applications. These need the scaling of
            keras.applications and, for a grey image, three equal channels.

    Returns:
        `(N, H, W, C)`: in [-1, 1], or standardised as by keras.applications.

    Raises:
        SemenetError: keras.applications has no such backbone.
    """
    if not imagenet:
        return keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="rescaling")(image)
    if backbone not in _IMAGENET:
        raise SemenetError(
            "weights='imagenet' needs a backbone that keras.applications publishes: "
            f"{', '.join(_IMAGENET)}. Received: {backbone!r}. Leave `weights` out."
        )
    if image.shape[-1] == 1:
        image = keras.layers.Concatenate(dtype="float32", name="grey_to_rgb")([image] * 3)
    return keras.layers.Rescaling(**_IMAGENET[backbone], dtype="float32", name="rescaling")(image)


def has_imagenet_scaling(model: keras.Model) -> bool:
    """Returns whether a network scales its input as keras.applications does."""
    return any(layer.name == "rescaling" and np.ndim(layer.offset) == 1 for layer in model.layers)
