"""Scales images from [0, 255] to what a backbone expects, inside the model."""

import keras
import numpy as np

from semenet.errors import SemenetError

# RGB means on [0, 255] and, where there is one, standard deviations, from keras.applications'
# imagenet_utils.py: "caffe" mode (VGG19, ResNet50) and "torch" mode (DenseNet169).
_CAFFE = {"scale": 1.0, "offset": (-123.68, -116.779, -103.939)}
_TORCH = {
    "scale": tuple(1 / (255 * deviation) for deviation in (0.229, 0.224, 0.225)),
    "offset": (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
}
_IMAGENET = {"vgg19": _CAFFE, "resnet50": _CAFFE, "densenet169": _TORCH}


def scale_input(image, backbone, imagenet):
    """Scales images in float32, whatever the policy.

    Args:
        image: `(N, H, W, 1 or 3)`, values in [0, 255].
        backbone: its name in the catalogue.
        imagenet: bool, whether its weights go back to keras.applications', which want their own scaling
            and, of a grey image, three equal channels.

    Returns:
        `(N, H, W, C)`: in [-1, 1], or standardised as keras.applications does.

    Raises:
        SemenetError: if keras.applications has no such backbone.
    """
    if not imagenet:
        return keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="rescaling")(image)
    if backbone not in _IMAGENET:
        raise SemenetError(
            "weights='imagenet' takes a backbone that keras.applications publishes: "
            f"{', '.join(_IMAGENET)}. Received: {backbone!r}. Leave the weights out."
        )
    if image.shape[-1] == 1:
        image = keras.layers.Concatenate(dtype="float32", name="grey_to_rgb")([image] * 3)
    return keras.layers.Rescaling(**_IMAGENET[backbone], dtype="float32", name="rescaling")(image)


def has_imagenet_scaling(model):
    """Whether `scale_input` gave a model keras.applications' scaling."""
    return any(layer.name == "rescaling" and np.ndim(layer.offset) == 1 for layer in model.layers)
