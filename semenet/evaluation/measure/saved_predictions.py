"""Predictions of one or several evaluations, read back from their predictions.csv, and their metrics."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.manifest.class_labels import complete_labels, possible_classes
from semenet.data.manifest.names import normalize_names
from semenet.metrics.patient_bootstrap import classification_intervals, mean_intervals, score_means
from semenet.metrics.patient_resamples import PatientBootstrap, resample
from semenet.metrics.resampled_metrics import resampled_classification
from semenet.storage.csv_cells import unescape_table

PREDICTIONS = "predictions.csv"
# The columns of text of predictions.csv; all others are numbers.
_TEXT = ("file", "patient", "label", "predicted")
_SCORES = ("dice", "iou", "mean_iou", "hausdorff95")


@dataclasses.dataclass(frozen=True, eq=False)
class SavedPredictions:
    """The predictions of a classifier or a segmentation network for N images.

    Attributes:
        rows: DataFrame of N rows with the columns of predictions.csv, and any others.
        class_names: the classes, in the order of the outputs; () for a segmentation network.
    """

    rows: pd.DataFrame
    class_names: tuple[str, ...]

    @classmethod
    def read(cls, folder: str | os.PathLike, class_names: Sequence[str] = ()) -> Self:
        """Reads predictions.csv of a folder that `semenet evaluate` wrote.

        Args:
            folder: the folder.
            class_names: the classes of a classifier; () for a segmentation network.
        """
        return cls.read_file(pathlib.Path(folder) / PREDICTIONS, class_names)

    @classmethod
    def read_file(cls, path: pathlib.Path, class_names: Sequence[str] = ()) -> Self:
        """Reads a table of predictions with the columns of predictions.csv, or some of them."""
        # Written as the shortest text that gives the same float32 again.
        rows = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=[""])
        rows = unescape_table(rows)
        text = [name for name in _TEXT if name in rows]
        rows[text] = rows[text].fillna("")
        normalize_names(rows)
        return cls(rows.astype(dict.fromkeys(class_names, np.float32)), tuple(class_names))

    @property
    def patients(self) -> np.ndarray:
        """The patient of each image."""
        return self.rows["patient"].to_numpy()

    @property
    def possible(self) -> np.ndarray:
        """The possible classes of each image, `(N, K)`, as from `semenet.data.possible_classes`."""
        return possible_classes(self.rows, self.class_names)

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities: float32 `(N, K)`."""
        return self.rows[list(self.class_names)].to_numpy(dtype=np.float32)

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """The scores of a segmentation network: float arrays `(N,)`."""
        return {name: self.rows[name].to_numpy(dtype=np.float64) for name in _SCORES}

    def select(self, chosen: np.ndarray) -> Self:
        """Returns the predictions of some images, by a bool array `(N,)`."""
        return dataclasses.replace(self, rows=self.rows[chosen].reset_index(drop=True))

    def measure(self, resamples: int) -> dict[str, Any]:
        """Computes the metrics of `semenet evaluate` with their intervals over patients.

        Args:
            resamples: number of bootstrap resamples of the patients.

        Returns:
            dict, ready for JSON: `count`, `patients`, `classes` (images by class; for a classifier),
            `figures` and `intervals`, both by dotted name (`per_class.normal.auroc`).
        """
        counts = {"count": len(self.rows), "patients": len(set(self.patients))}
        if not self.class_names:
            figures = metrics.mean_overlap(self.scores)
            return counts | {
                "figures": {name: figures[name] for name in _SCORES},
                "intervals": mean_intervals(self.scores, self.patients, resamples),
            }
        arrays = self.possible, self.probabilities, self.class_names
        intervals = classification_intervals(*arrays, self.patients, resamples)
        figures = metrics.add_dotted_keys(metrics.classification(*arrays)) | {"brier": None, "ece": None}
        complete = complete_labels(self.possible)
        if complete.any():
            of_complete = self.possible[complete].argmax(axis=1), self.probabilities[complete]
            figures["brier"] = metrics.brier_score(*of_complete)
            figures["ece"] = metrics.expected_calibration_error(*of_complete)
        return counts | {
            "classes": self.rows["label"].value_counts().sort_index().to_dict(),
            "figures": {name: figures[name] for name in intervals},
            "intervals": intervals,
        }

    def resampled(self, resamples: int, seed: int) -> dict[str, np.ndarray]:
        """Computes the metrics of resamples of the patients.

        Args:
            resamples: number of resamples.
            seed: 0 or more; other seeds give independent resamples.

        Returns:
            dict of float arrays `(resamples,)` by dotted name, NaN where a metric is undefined.
        """
        bootstrap = PatientBootstrap(self.patients, resamples, seed)
        if not self.class_names:
            return resample(bootstrap, lambda weights: score_means(self.scores, weights))
        arrays = self.possible, self.probabilities, self.class_names
        return resample(bootstrap, lambda weights: resampled_classification(*arrays, weights))
