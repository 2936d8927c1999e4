"""What a network makes of images with parts taken away, which an audit judges."""

import keras
import numpy as np
import tensorflow as tf

from semenet import metrics
from semenet.evaluation.shortcut_audit.marks import SIDE, marks_of_files, mask_for_marks
from semenet.inference.lung_plausibility import failed_checks
from semenet.metrics.probabilities import check_probabilities
from semenet.progress import show_steps, track


class Viewed:
    """What a network makes of each view of each image, and the marks in the images.

    Args:
        run: `semenet.training.run_folder.run.Run` of a classifier.
        masks: `semenet.inference.lung_masks.LungMasks`.
        rows: the N rows of a manifest, each of which has a mask, or gets one.
        batch_size: int, images at a time.
        views: dict of names to functions, of `semenet.evaluation.shortcut_audit.blackouts.views_of`.
        description: what is being done, such as "Measuring".

    Attributes:
        features: dict of view to float32 (N, C), the last feature map's means over its positions.
        probabilities: dict of view to float32 (N, K).
        marks: float32 (N, F) of `marks_of_files`; None where the network is fed lungs alone.
        lungs: dict of `implausible`, the number of masks that fail a check of
            `semenet.inference.lung_plausibility`, and of the masks' share of the image `least`, `median`
            and `most`.

    Raises:
        ImageError: an image or mask cannot be read.
        ValueError: outputs are NaN.
    """

    def __init__(self, run, masks, rows, batch_size, views, description):
        look = _outputs_function(run)
        parts = {name: ([], []) for name in views}
        # Masks that a U-Net finds are kept packed until the marks are looked for: 8 kB each.
        kept, areas, implausible = [], [], 0
        batches = masks.images_with_masks(rows, run, batch_size)
        for images, found in track(batches, len(rows), description, size=lambda batch: len(batch[0])):
            areas += found.mean(axis=(1, 2)).tolist()
            implausible += int(failed_checks(tf.constant(found)).numpy().any(axis=1).sum())
            for name, view in views.items():
                for part, values in zip(parts[name], look(view(images, found)), strict=True):
                    part.append(values.numpy())
            if masks.run is not None and not run.lungs_alone:
                kept += [np.packbits(mask_for_marks(mask)) for mask in found]
        joined = {name: [np.concatenate(part) for part in pair] for name, pair in parts.items()}
        for _, outputs in joined.values():
            check_probabilities(outputs)
        self.features = {name: features for name, (features, _) in joined.items()}
        self.probabilities = {
            name: metrics.temper(outputs, run.temperature, run.activation)
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
            found = rows["mask_path"] if masks.run is None else map(_unpacked, kept)
            with show_steps("Looking for marks") as progress:
                self.marks = marks_of_files(zip(rows["path"], found, strict=True), len(rows), progress)


def _outputs_function(run):
    features = run.model.get_layer("features").output
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(features)
    both = keras.Model(run.model.inputs[0], [pooled, run.model.outputs[0]])
    signature = tf.TensorSpec((None, *run.input_size, run.channels), tf.uint8)
    return tf.function(lambda images: both(images, training=False), input_signature=[signature])


def _unpacked(packed):
    return np.unpackbits(packed).reshape(SIDE, SIDE)
