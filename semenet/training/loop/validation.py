"""Measures a network on the validation split, with the functions that evaluation uses."""

import os
import pathlib

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from semenet import metrics
from semenet.data.images.errors import ImageError
from semenet.data.images.shards import file_of
from semenet.data.manifest.class_labels import complete_labels
from semenet.data.manifest.table import ManifestError
from semenet.data.pipeline.datasets import evaluation_dataset
from semenet.training.devices.device import Devices
from semenet.training.loop.optimization import training_labels
from semenet.training.losses.masked_loss import masked_loss
from semenet.training.losses.partial_loss import are_partial, partial_label_loss
from semenet.training.recipe import Recipe


class Validation:
    """Measures networks on the validation split; each process predicts its share of the images.

    The network sees images as in training: lungs alone, cut to their box, or standardised, by the recipe.

    Args:
        rows: the rows of the validation split.
        recipe: the recipe.
        devices: the devices that predict.
        cache: where resized images are stored, as for `training_batches`.
        cache_folder: as for `training_batches`.
        input_size: height and width to predict at, in pixels; None for the recipe's.

    Attributes:
        confusion: the confusion matrix of the last measurement, int `(K, K)` with a row for each true class;
            None before the first one and for a segmentation network.

    Raises:
        ManifestError: a label is not among the recipe's classes, there is only one class although the
            monitor needs two, or a row has no mask although the network needs one.
        ImageError: a file does not exist. This is checked here because it would otherwise fail after a whole
            epoch.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        recipe: Recipe,
        devices: Devices,
        cache: str | None = None,
        cache_folder: str | pathlib.Path | None = None,
        input_size: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.devices = devices
        self.confusion = None
        lungs_alone = recipe.lungs_alone and not recipe.segments
        if lungs_alone:
            _check_masks(rows)
        _check_files(rows)
        self.labels = training_labels(recipe, rows)
        _check_monitor(recipe, self.labels, rows)
        self.rows = rows.iloc[devices.local_rows(len(rows))]
        self.dataset = evaluation_dataset(
            self.rows,
            input_size=(input_size or recipe.input_size,) * 2,
            channels=recipe.channels,
            batch_size=recipe.batch_size,
            inference_clahe=recipe.inference_clahe,
            masks=recipe.segments or lungs_alone,
            view=recipe.lung_view,
            cache=cache,
            cache_folder=cache_folder,
        )
        if lungs_alone:
            self.dataset = self.dataset.map(_black_outside_mask)

    def measure(self, network: keras.Model) -> dict[str, float]:
        """Predicts the split and returns its metrics.

        Args:
            network: the network.

        Returns:
            The metrics by name, each beginning with `val_`; NaN for an AUROC that is not defined.
        """
        measure = self._segmentation if self.recipe.segments else self._classification
        return {f"val_{name}": float(value) for name, value in measure(network).items()}

    def _classification(self, network: keras.Model) -> dict[str, float]:
        probabilities = self.devices.predict(network, self.dataset, len(self.rows))
        probabilities = self.devices.gather(probabilities)
        if self.recipe.several_labels:
            values = metrics.findings(self.labels, probabilities, self.recipe.classes)
            auroc = values["macro_auroc"]
            return {
                "loss": masked_loss(self.labels, probabilities),
                "macro_auroc": np.nan if auroc is None else auroc,
            }
        results = metrics.classification(self.labels, probabilities, self.recipe.classes)
        self.confusion = np.asarray(results["confusion_matrix"])
        loss = keras.ops.convert_to_numpy(keras.losses.categorical_crossentropy(self.labels, probabilities))
        if are_partial(self.labels):
            loss = partial_label_loss(self.labels, probabilities)
        monitored = {name: results[name] for name in ("accuracy", "macro_f1", "macro_auroc")}
        return {"loss": np.mean(loss)} | {
            name: np.nan if value is None else value for name, value in monitored.items()
        }

    def _segmentation(self, network: keras.Model) -> dict[str, float]:
        # One batch at a time, because the masks of a whole split would fill the memory.
        batches = []
        for images, masks in self.dataset:
            dataset = tf.data.Dataset.from_tensors(images)
            probabilities = self.devices.predict(network, dataset, len(images))
            loss = keras.ops.mean(keras.losses.binary_crossentropy(masks.numpy(), probabilities))
            results = metrics.segmentation(masks.numpy(), probabilities)
            values = [float(loss), *(results[name] for name in ("dice", "iou", "mean_iou"))]
            batches.append([len(images), *values])
        sizes, *values = self.devices.gather(np.array(batches)).T
        names = ("loss", "dice", "iou", "mean_iou")
        return {name: np.average(value, weights=sizes) for name, value in zip(names, values, strict=True)}


def _black_outside_mask(images: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """Applies the masks last, after CLAHE, as the masked views in training do."""
    return images * tf.cast(masks, images.dtype)


def _check_monitor(recipe: Recipe, labels: np.ndarray | None, rows: pd.DataFrame) -> None:
    if recipe.several_labels:
        if (
            recipe.monitor == "val_macro_auroc"
            and not ((labels == 1).any(axis=0) & (labels == 0).any(axis=0)).any()
        ):
            raise ManifestError(
                "The monitor val_macro_auroc needs a finding that some validation images have and some have "
                f"not. Received: none among {', '.join(recipe.classes)}. Add images, or pass --monitor "
                "val_loss."
            )
    elif recipe.monitor == "val_macro_auroc":
        # Of a class and of others: images whose labels tell that they are.
        complete = complete_labels(labels)
        if not ((labels[complete] > 0).any(axis=0) & (labels == 0).any(axis=0)).any():
            raise ManifestError(
                "The monitor val_macro_auroc needs two classes or more among the validation images. "
                f"Received: only {rows['label'].iloc[0]}. Add images of other classes, or pass --monitor "
                "val_loss."
            )
    elif recipe.monitor in ("val_accuracy", "val_macro_f1") and not complete_labels(labels).any():
        raise ManifestError(
            f"The monitor {recipe.monitor} needs validation images whose label names one class. "
            f"Received: only partial labels, such as {rows['label'].iloc[0]}. Pass --monitor val_loss."
        )


def _check_masks(rows: pd.DataFrame) -> None:
    without = rows[rows["mask_path"] == ""] if "mask_path" in rows else rows
    if len(without):
        raise ManifestError(
            "A network that is trained on lungs alone is validated on lungs alone: every row of the split "
            f"val needs a mask. Received: {len(without)} of {len(rows)} rows without one, first "
            f"{without['file'].iloc[0]}. Fill the manifest's column `mask`, or add 'original' to --views."
        )


def _check_files(rows: pd.DataFrame) -> None:
    files = dict.fromkeys(file_of(path) for path in [*rows["path"], *rows.get("mask_path", ())] if path)
    missing = [file for file in files if not os.path.isfile(file)]
    if missing:
        raise ImageError(
            f"Every validation image and mask must exist. Received: {len(missing)} missing files, first "
            f"{missing[0]}. Check the manifest's paths, or pass --root."
        )
