"""Chooses the thresholds of a network with sigmoid outputs on validation images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from semenet import metrics
from semenet.data.manifest.several_labels import label_columns
from semenet.data.manifest.table import Manifest
from semenet.training.run_folder.run import Run


def has_findings(run: Run, manifest: Manifest) -> bool:
    """Returns whether a network's outputs are findings of a manifest, each for itself, and not one class."""
    if run.segments or run.activation != "sigmoid":
        return False
    columns = set(manifest.rows.columns)
    return bool(label_columns(manifest.rows)) or len(run.class_names) == 1 or set(run.class_names) <= columns


def choose_finding_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Chooses for each finding the threshold with the highest sensitivity + specificity (Youden's index).

    Args:
        labels: `(N, K)`, 1, 0, or below 0 where a label is not known.
        probabilities: float `(N, K)`.
        class_names: the names of the findings.

    Returns:
        dict, ready for JSON, the `operating_points` of calibration.json: {name: {`youden`: a dict of
        `threshold`, `count` (images where the finding is known) and the metrics of
        `semenet.metrics.metrics_at_threshold`, or None without images of both kinds}}.
    """
    points = {}
    for index, name in enumerate(class_names):
        known = labels[:, index] >= 0
        is_true, score = labels[known, index] == 1, probabilities[known, index]
        threshold = metrics.youden_threshold(is_true, score)
        chosen = None
        if threshold is not None:
            rates = metrics.metrics_at_threshold(is_true, score, threshold)
            chosen = {"threshold": threshold, "count": int(known.sum())} | rates
        points[name] = {"youden": chosen}
    return points


def finding_warnings(points: dict[str, dict[str, Any]]) -> list[str]:
    """Returns a warning on findings for which no threshold could be chosen, if there are any."""
    missing = [name for name, chosen in points.items() if chosen["youden"] is None]
    if not missing:
        return []
    return [
        f"The split does not have images with and without {', '.join(missing)}: their threshold stays 0.5."
    ]
