"""What published weights give on synthetic radiographs: a check that they are still those published."""

import hashlib

import cv2
import numpy as np

from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.pipeline.datasets import prepare_image
from semenet.inference.lung_masks import keep_only_lungs

LABELS = ("normal", "bacteria")
SEED = 20
TOLERANCE = 1e-3
_STRIDE = 8


def golden_input(published, labels=LABELS, seed=SEED):
    """Draws the radiographs and prepares them as the network is fed them.

    Args:
        published: `semenet.models.weights.published.PublishedSet`.
        labels: of `semenet.data.phantom.frontal.draw_radiograph`, one an image.
        seed: int, of the first image; each further one has the next.

    Returns:
        uint8 `(N, H, W, C)`.
    """
    height, width = size = tuple(side or 512 for side in published.input_shape[:2])
    phantoms = [draw_radiograph(label, size=256, seed=seed + number) for number, label in enumerate(labels)]
    channels, clahe = published.input_shape[2], published.inference_clahe
    images = np.stack([prepare_image(phantom.image, size, channels, clahe) for phantom in phantoms])
    if not published.lungs_alone:
        return images
    masks = [phantom.lungs.astype("uint8") for phantom in phantoms]
    masks = [cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0 for mask in masks]
    return keep_only_lungs(images, np.stack(masks))


def golden_output(model, images):
    """The network's outputs, not calibrated: `(N, K)`, or every 8th row and column of masks."""
    output = np.asarray(model(images, training=False))
    return output if output.ndim == 2 else output[:, ::_STRIDE, ::_STRIDE]


def digest(images):
    """str, the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
