"""Reference outputs of published weights on synthetic radiographs, to verify the weights."""

import hashlib

import cv2
import keras
import numpy as np

from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.pipeline.datasets import prepare_image
from semenet.data.pipeline.prepared_images import prepare_view
from semenet.data.transforms.lung_view import LungView
from semenet.inference.lung_masks import keep_only_lungs

LABELS = ("normal", "bacteria")
SEED = 20
TOLERANCE = 1e-3
_STRIDE = 8


def golden_input(published, labels=LABELS, seed=SEED):
    """Generates the radiographs and prepares them as the network's input.

    Args:
        published: `semenet.models.weights.published.PublishedSet`.
        labels: as in `semenet.data.phantom.frontal.draw_radiograph`, one for each image.
        seed: int, seed of the first image; the following images use the following integers.

    Returns:
        uint8 `(N, H, W, C)`.
    """
    height, width = size = tuple(side or 512 for side in published.input_shape[:2])
    phantoms = [draw_radiograph(label, size=256, seed=seed + number) for number, label in enumerate(labels)]
    channels, clahe = published.input_shape[2], published.inference_clahe
    view = LungView.from_settings(published.lung_view)
    if view.needs_mask:
        views = [
            prepare_view(phantom.image, phantom.lungs, view, size, channels, clahe) for phantom in phantoms
        ]
        images, seen = (np.stack([getattr(each, name) for each in views]) for name in ("image", "mask"))
        return keep_only_lungs(images, seen) if published.lungs_alone else images
    images = np.stack([prepare_image(phantom.image, size, channels, clahe) for phantom in phantoms])
    if not published.lungs_alone:
        return images
    masks = [phantom.lungs.astype("uint8") for phantom in phantoms]
    masks = [cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0 for mask in masks]
    return keep_only_lungs(images, np.stack(masks))


def golden_output(model, images):
    """Returns the network's outputs without calibration: `(N, K)`, or every 8th row and column of masks."""
    if keras.backend.backend() == "jax":
        # Called directly, every operation would be compiled alone, which takes longer than all at once.
        output = model.predict_on_batch(images)
    else:
        output = np.asarray(model(images, training=False))
    return output if output.ndim == 2 else output[:, ::_STRIDE, ::_STRIDE]


def digest(images):
    """Returns the SHA-256 of an array's bytes as str."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
