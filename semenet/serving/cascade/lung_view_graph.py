"""Prepares images for networks with a lung view inside a graph, from original images and lung probabilities.

Original images have any size, so that a batch of them holds each as a string: `pack_original` and
`pack_original_graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.lung_plausibility import CHECKS
from semenet.data.transforms.lung_view_in_graph import view_lungs
from semenet.data.transforms.mask_threshold import MASK_LEVEL
from semenet.inference.lung_plausibility import failed_lung_checks, lung_cells

if TYPE_CHECKING:
    import numpy as np

    from semenet.training.run_folder.run import Run

# One original image.
ORIGINAL = tf.TensorSpec((), tf.string)


class ViewedImages(NamedTuple):
    """N images as the networks take them.

    Attributes:
        failed: bool (N, 3), the checks of `semenet.inference.lung_plausibility` that each mask failed.
        images: for each network uint8 (N, H, W, C) in [0, 255].
        boxes: for each network int32 (N, 4): top, left, bottom and right of the part of the original that it
            sees; bottom and right are the first row and column outside.
    """

    failed: tf.Tensor
    images: list[tf.Tensor]
    boxes: list[tf.Tensor]


def pack_original(image: np.ndarray) -> bytes:
    """Packs an image, uint8 `(H, W)`, as `pack_original_graph` does."""
    return tf.io.serialize_tensor(image).numpy()


def pack_original_graph(image: tf.Tensor) -> tf.Tensor:
    """Packs an image, uint8 `(height, width, 1)`, into a scalar string."""
    return tf.io.serialize_tensor(image[..., 0])


def lung_view_graph(runs: Sequence[Run]) -> Callable[[tf.Tensor, tf.Tensor], ViewedImages]:
    """Returns a graph function that prepares images for networks with a lung view.

    The pixels equal those of `semenet.data.pipeline.prepared_images.prepare_view` with the mask
    `semenet.inference.lung_masks.resized_mask` in the size of the image, bit for bit; all but the lungs is
    black for a network that takes lungs alone.

    Args:
        runs: the networks.

    Returns:
        A function of packed originals, string (N,), and the grey levels of the segmentation network's
        probabilities, int32 (N, h, w) in [0, 255].
    """
    # Read outside of the traced function: it loads the networks.
    settings = [(run.lung_view, run.input_size, run.inference_clahe, run.lungs_alone) for run in runs]
    shapes = [(*run.input_size, run.channels) for run in runs]

    def prepare_one(original: tf.Tensor, levels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image = _unpack(original)
        mask = graph_transforms.resize(tf.cast(levels, tf.uint8), tf.unstack(tf.shape(image))) >= MASK_LEVEL
        failed = failed_lung_checks(mask[tf.newaxis])[0]
        cells = lung_cells(mask[tf.newaxis])[0]
        images, boxes = [], []
        for (view, size, clahe, lungs_alone), shape in zip(settings, shapes, strict=True):
            resized, inside, box = view_lungs(image, mask, ~tf.reduce_any(failed), cells, size, view)
            resized = graph_transforms.clahe(resized) if clahe else resized
            resized = resized * inside if lungs_alone else resized
            images.append(tf.ensure_shape(tf.repeat(resized[..., tf.newaxis], shape[-1], axis=-1), shape))
            boxes.append(box)
        return failed, *images, *boxes

    def prepare(originals: tf.Tensor, levels: tf.Tensor) -> ViewedImages:
        failed, *found = tf.map_fn(
            lambda pair: prepare_one(*pair),
            (originals, levels),
            fn_output_signature=(
                tf.TensorSpec((len(CHECKS),), tf.bool),
                *(tf.TensorSpec(shape, tf.uint8) for shape in shapes),
                *(tf.TensorSpec((4,), tf.int32) for _ in shapes),
            ),
        )
        return ViewedImages(failed, found[: len(shapes)], found[len(shapes) :])

    return prepare


def _unpack(original: tf.Tensor) -> tf.Tensor:
    """Unpacks an original; one black pixel for "", which stands for a file that cannot be decoded."""
    image = tf.cond(
        tf.strings.length(original) > 0,
        lambda: tf.io.parse_tensor(original, tf.uint8),
        lambda: tf.zeros((1, 1), tf.uint8),
    )
    return tf.ensure_shape(image, (None, None))
