"""A network's features and probabilities for views of images with regions removed, as input of the audit."""

from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from semenet import metrics
from semenet.data.transforms.lung_plausibility import check_lungs
from semenet.data.transforms.lung_view_on_host import Box
from semenet.evaluation.shortcut_audit.marks import SIDE, marks_of_files, resize_mask_for_marks
from semenet.evaluation.shortcut_audit.occlusions import View
from semenet.inference.lung_masks import LungMasks
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import show_steps, track
from semenet.training.run_folder.run import Run


class ViewOutputs:
    """A network's outputs for each view of each image, and the marks in the images.

    Args:
        run: the run of a classifier.
        masks: source of the lung masks.
        rows: the N rows of a manifest; each has a mask, or a U-Net segments it.
        batch_size: number of images at a time.
        views: functions by name, of `semenet.evaluation.shortcut_audit.occlusions.image_views`.
        description: name of the step for the progress display, such as "Measuring".

    Attributes:
        features: dict from view to float32 `(N, C)`, the spatial means of the last feature map.
        probabilities: dict from view to float32 `(N, K)`.
        marks: float32 `(N, F)` of `marks_of_files`, in the part of each image that the network sees; None if
            the network takes lungs alone.
        lungs: dict of `implausible`, the number of masks that fail a check of
            `semenet.inference.lung_plausibility`, and of the masks' share of the image `least`, `median`
            and `most`.

    Raises:
        ImageError: an image or mask cannot be read.
        SemenetError: outputs are NaN.
    """

    def __init__(
        self,
        run: Run,
        masks: LungMasks,
        rows: pd.DataFrame,
        batch_size: int,
        views: Mapping[str, View],
        description: str,
    ) -> None:
        compute = _outputs_function(run)
        parts: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {name: ([], []) for name in views}
        # Masks that no file holds are kept, packed to 8 kB each, until the search for marks.
        packed, boxes, areas, implausible = [], [], [], 0
        has_files = masks.run is None and not run.lung_view.needs_mask
        batches = _batches(masks, rows, run, batch_size)
        for images, found, seen, failed in track(
            batches, len(rows), description, size=lambda batch: len(batch[0])
        ):
            areas += found.mean(axis=(1, 2)).tolist()
            implausible += int(failed.sum())
            boxes += seen
            for name, view in views.items():
                for part, values in zip(parts[name], compute(view(images, found)), strict=True):
                    part.append(values.numpy())
            if not has_files and not run.lungs_alone:
                packed += [np.packbits(resize_mask_for_marks(mask)) for mask in found]
        joined = {name: [np.concatenate(part) for part in pair] for name, pair in parts.items()}
        for _, outputs in joined.values():
            check_probabilities(outputs)
        self.features = {name: features for name, (features, _) in joined.items()}
        self.probabilities = {
            name: metrics.apply_temperature(outputs, run.temperature, run.activation)
            for name, (_, outputs) in joined.items()
        }
        self.lungs = {
            "implausible": implausible,
            "least": min(areas),
            "median": float(np.median(areas)),
            "most": max(areas),
        }
        self.marks = None
        if not run.lungs_alone:
            found = rows["mask_path"] if has_files else map(_unpacked, packed)
            with show_steps("Looking for marks") as progress:
                self.marks = marks_of_files(zip(rows["path"], found, boxes, strict=True), len(rows), progress)


def _batches(
    masks: LungMasks, rows: pd.DataFrame, run: Run, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, list[Box | None], np.ndarray]]:
    """Yields images and masks as the network sees them, the boxes they show, and whether a mask failed."""
    if run.lung_view.needs_mask:
        for views in masks.read_views(rows, run, batch_size):
            images, found = (np.stack([getattr(view, name) for view in views]) for name in ("image", "mask"))
            failed = np.array([view.flags != "" for view in views])
            yield images, found, [view.box for view in views], failed
        return
    for images, found in masks.images_with_masks(rows, run, batch_size):
        failed = np.array([check_lungs(mask)[0].any() for mask in found])
        yield images, found, [None] * len(images), failed


def _outputs_function(run: Run) -> Callable[[np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function from images to their pooled features and the network's outputs."""
    features = run.model.get_layer("features").output
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(features)
    both = keras.Model(run.model.inputs[0], [pooled, run.model.outputs[0]])
    signature = tf.TensorSpec((None, *run.input_size, run.channels), tf.uint8)
    return tf.function(
        lambda images: both(images, training=False), input_signature=[signature], autograph=False
    )


def _unpacked(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed).reshape(SIDE, SIDE)
