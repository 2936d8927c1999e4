"""Measures a network on the validation split, with the functions that evaluation reports."""

import os

import keras
import numpy as np
import tensorflow as tf

from semenet import metrics
from semenet.data.images.errors import ImageError
from semenet.data.images.shards import file_of
from semenet.data.manifest.table import ManifestError, label_index
from semenet.data.pipeline.datasets import evaluation_dataset


class Validation:
    """Measures the validation split, each process its share of it.

    A network that is fed lungs alone is measured on lungs alone, as everything feeds it later.

    Args:
        rows: DataFrame of the validation split.
        recipe: `Recipe`.
        devices: `Devices` that predict.
        cache: where the resized images are kept, as for `training_batches`.
        cache_folder: as for `training_batches`.

    Attributes:
        confusion: int `(K, K)`, a row a true class, of the last measurement; None before it and for a
            segmentation network.

    Raises:
        ManifestError: for a label that the recipe's classes lack, one class alone where the monitor
            needs two, or a row without the mask that a network fed lungs alone needs.
        ImageError: for a file that is not there, which would show only after a whole epoch.
    """

    def __init__(self, rows, recipe, devices, cache=None, cache_folder=None):
        self.recipe = recipe
        self.devices = devices
        self.confusion = None
        lungs_alone = recipe.lungs_alone and not recipe.segments
        if lungs_alone:
            _check_masks(rows)
        _check_files(rows)
        self.true = None if recipe.segments else label_index(rows, recipe.classes)
        if recipe.monitor == "val_macro_auroc" and len(set(self.true)) < 2:
            raise ManifestError(
                "The monitor val_macro_auroc needs two classes or more among the validation images. "
                f"Received: {rows['label'].iloc[0]} alone. Add others, or pass --monitor val_loss."
            )
        self.rows = rows.iloc[devices.share(len(rows))]
        self.dataset = evaluation_dataset(
            self.rows,
            input_size=(recipe.input_size, recipe.input_size),
            channels=recipe.channels,
            batch_size=recipe.batch_size,
            inference_clahe=recipe.inference_clahe,
            masks=recipe.segments or lungs_alone,
            cache=cache,
            cache_folder=cache_folder,
        )
        if lungs_alone:
            self.dataset = self.dataset.map(_blacked_out)

    def measure(self, network):
        """Predicts the split.

        Args:
            network: `keras.Model`.

        Returns:
            dict of `val_...` to float; NaN for an AUROC that the split's classes do not give.
        """
        measure = self._segmentation if self.recipe.segments else self._classification
        return {f"val_{name}": float(value) for name, value in measure(network).items()}

    def _classification(self, network):
        probabilities = self.devices.predict(network, self.dataset, len(self.rows))
        probabilities = self.devices.gather(probabilities)
        figures = metrics.classification(self.true, probabilities, self.recipe.classes)
        self.confusion = np.asarray(figures["confusion_matrix"])
        one_hot = np.eye(len(self.recipe.classes), dtype="float32")[self.true]
        loss = keras.ops.convert_to_numpy(keras.losses.categorical_crossentropy(one_hot, probabilities))
        watched = {name: figures[name] for name in ("accuracy", "macro_f1", "macro_auroc")}
        return {"loss": np.mean(loss)} | {
            name: np.nan if value is None else value for name, value in watched.items()
        }

    def _segmentation(self, network):
        # A batch at a time: the masks of a whole split fill the memory.
        batches = []
        for images, masks in self.dataset:
            one = tf.data.Dataset.from_tensors(images)
            probabilities = self.devices.predict(network, one, len(images))
            loss = keras.ops.mean(keras.losses.binary_crossentropy(masks.numpy(), probabilities))
            figures = metrics.segmentation(masks.numpy(), probabilities)
            values = [float(loss), *(figures[name] for name in ("dice", "iou", "mean_iou"))]
            batches.append([len(images), *values])
        sizes, *values = self.devices.gather(np.array(batches)).T
        names = ("loss", "dice", "iou", "mean_iou")
        return {name: np.average(value, weights=sizes) for name, value in zip(names, values, strict=True)}


def _blacked_out(images, masks):
    """What training's masked views do: the mask comes last, after CLAHE."""
    return images * tf.cast(masks, images.dtype)


def _check_masks(rows):
    bare = rows[rows["mask_path"] == ""] if "mask_path" in rows else rows
    if len(bare):
        raise ManifestError(
            "A network that is fed lungs alone is validated on lungs alone: every row of the split val needs "
            f"a mask. Received: {len(bare)} of {len(rows)} rows without one, first {bare['file'].iloc[0]}. "
            "Fill the manifest's column `mask`, or add 'original' to --views."
        )


def _check_files(rows):
    files = dict.fromkeys(file_of(path) for path in [*rows["path"], *rows.get("mask_path", ())] if path)
    absent = [file for file in files if not os.path.isfile(file)]
    if absent:
        raise ImageError(
            f"Every validation image and mask must be a file. Received: {len(absent)} that are none, first "
            f"{absent[0]}. Check the manifest's paths, or --root."
        )
