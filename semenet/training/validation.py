"""Measures a network on the validation split, with the functions that evaluation reports."""

import os

import keras
import numpy as np

from semenet import metrics
from semenet.data.images import ImageError
from semenet.data.manifest import ManifestError, label_index
from semenet.data.pipeline import evaluation_dataset
from semenet.data.shards import file_of


class Validate(keras.callbacks.Callback):
    """Adds `val_...` figures to the logs of each epoch.

    Args:
        rows: DataFrame of the validation split.
        recipe: `Recipe`.
        cache: where the resized images are kept, as for `training_dataset`.
        cache_folder: as for `training_dataset`.

    Raises:
        ManifestError: for a label that the recipe's classes lack, or one class alone where the monitor
            needs two.
        ImageError: for a file that is not there, which would show only after a whole epoch.
    """

    def __init__(self, rows, recipe, cache=None, cache_folder=None):
        super().__init__()
        self.recipe = recipe
        _check_files(rows)
        self.true = None if recipe.segments else label_index(rows, recipe.classes)
        if recipe.monitor == "val_macro_auroc" and len(set(self.true)) < 2:
            raise ManifestError(
                "The monitor val_macro_auroc needs two classes or more among the validation images. "
                f"Received: {rows['label'].iloc[0]} alone. Add others, or pass --monitor val_loss."
            )
        self.dataset = evaluation_dataset(
            rows,
            input_size=(recipe.input_size, recipe.input_size),
            channels=recipe.channels,
            batch_size=recipe.batch_size,
            inference_clahe=recipe.inference_clahe,
            masks=recipe.segments,
            cache=cache,
            cache_folder=cache_folder,
        )

    def on_epoch_end(self, epoch, logs=None):
        """Predicts the split and adds the figures."""
        measure = self._segmentation if self.recipe.segments else self._classification
        logs.update({f"val_{name}": value for name, value in measure().items()})

    def _classification(self):
        probabilities = self.model.predict(self.dataset, verbose=0)
        figures = metrics.classification(self.true, probabilities, self.recipe.classes)
        one_hot = np.eye(len(self.recipe.classes), dtype="float32")[self.true]
        loss = keras.losses.categorical_crossentropy(one_hot, probabilities)
        watched = {name: figures[name] for name in ("accuracy", "macro_f1", "macro_auroc")}
        return {"loss": float(np.mean(loss))} | {
            name: np.nan if value is None else value for name, value in watched.items()
        }

    def _segmentation(self):
        batches = []
        for images, masks in self.dataset:
            probabilities = np.asarray(self.model.predict_on_batch(images))
            loss = np.mean(keras.losses.binary_crossentropy(masks, probabilities), axis=(1, 2))
            figures = metrics.segmentation(np.asarray(masks), probabilities)
            figures["loss"] = float(np.mean(loss))
            batches.append((len(masks), figures))
        sizes = [size for size, _ in batches]
        return {
            name: float(np.average([figures[name] for _, figures in batches], weights=sizes))
            for name in ("loss", "dice", "iou", "mean_iou")
        }


def _check_files(rows):
    files = dict.fromkeys(file_of(path) for path in [*rows["path"], *rows.get("mask_path", ())] if path)
    absent = [file for file in files if not os.path.isfile(file)]
    if absent:
        raise ImageError(
            f"Every validation image and mask must be a file. Received: {len(absent)} that are none, first "
            f"{absent[0]}. Check the manifest's paths, or --root."
        )
