"""All metrics of a classifier on a split, computed from its probabilities."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.manifest.class_labels import complete_labels
from semenet.data.manifest.csv_file import ManifestError
from semenet.errors import SemenetError
from semenet.evaluation.measure.subgroups import subgroup_metrics, subgroups
from semenet.metrics.patient_bootstrap import classification_intervals, share_intervals
from semenet.metrics.probabilities import check_labels, decided
from semenet.training.run_folder.run import Run

# Columns whose subgroups are evaluated by default, where the manifest has them.
DEFAULT_SUBGROUPS = ("source", "view", "sex", "age")
RATES = ("sensitivity", "specificity", "ppv", "npv")


def measure_classification(
    run: Run,
    rows: pd.DataFrame,
    labels: np.ndarray,
    probabilities: np.ndarray,
    by: Sequence[str] | None = None,
    resamples: int = 2000,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Computes the metrics of a classifier from its probabilities, each with an interval over patients.

    Args:
        run: the run of the classifier.
        rows: DataFrame of the N evaluated rows.
        labels: `(N, K)`, the possible classes of each image, as from `semenet.data.possible_classes`; or
            int `(N,)`. Calibration and abstention are measured on images with a complete label alone.
        probabilities: float array `(N, K)`, calibrated if the run is.
        by: columns to evaluate subgroups by; None for those of `DEFAULT_SUBGROUPS` with several values.
        resamples: number of bootstrap resamples of the patients.

    Returns:
        (values, details): the metrics of `metrics.classification`, `brier` and `ece`; and a dict, ready for
        JSON, of `intervals`, `calibration`, `operating_points`, `abstain` and `subgroups`, as
        docs/evaluation.md describes them.

    Raises:
        ManifestError: all labels are partial.
        SemenetError: as for `metrics.classification`, and for a column of `by` that is missing or has too
            many values.
    """
    patients = rows["patient"].to_numpy()
    possible, probabilities = check_labels(labels, probabilities, run.class_names)
    complete = complete_labels(possible)
    if not complete.any():
        raise ManifestError(
            "An evaluation needs images whose label names one class. Received: only partial labels, such as "
            f"{rows['label'].iloc[0]!r}. Add rows with complete labels."
        )
    values = metrics.classification(possible, probabilities, run.class_names)
    true_index = possible[complete].argmax(axis=1)
    values |= {
        "brier": metrics.brier_score(true_index, probabilities[complete]),
        "ece": metrics.expected_calibration_error(true_index, probabilities[complete]),
    }
    columns = default_subgroups(rows) if by is None else list(by)
    return values, {
        "intervals": classification_intervals(possible, probabilities, run.class_names, patients, resamples),
        "calibration": _calibration(run, true_index, probabilities[complete]),
        "operating_points": _operating_points(run, possible, probabilities, patients, resamples),
        "abstain": _abstention(run, true_index, probabilities[complete], patients[complete], resamples),
        "subgroups": subgroup_metrics(possible, probabilities, run.class_names, rows, columns, resamples),
    }


def default_subgroups(rows: pd.DataFrame) -> list[str]:
    """Returns the columns of `DEFAULT_SUBGROUPS` that have several values in these rows.

    A column that cannot be split into subgroups, such as a different source for each image, is left out with
    a warning rather than an error, because the user did not ask for it.
    """
    usable = []
    for column in DEFAULT_SUBGROUPS:
        if column in rows and rows[column].nunique() > 1:
            try:
                subgroups(rows, [column])
            except SemenetError as error:
                warnings.warn(f"No subgroups by {column}. {error}", stacklevel=2)
            else:
                usable.append(column)
    return usable


def _calibration(run: Run, true_index: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    chosen = run.calibration
    uncalibrated = probabilities
    if chosen is not None:
        # Undo the temperature, up to the rounding of float32.
        uncalibrated = metrics.apply_temperature(probabilities, 1 / run.temperature, run.activation)
    return {
        "temperature": run.temperature,
        "chosen_on": chosen and {name: chosen[name] for name in ("split", "count", "manifest_sha256")},
        "reliability": _reliability_bins(true_index, probabilities),
        "uncalibrated": chosen
        and {
            "brier": metrics.brier_score(true_index, uncalibrated),
            "ece": metrics.expected_calibration_error(true_index, uncalibrated),
            "reliability": _reliability_bins(true_index, uncalibrated),
        },
    }


def _reliability_bins(true_index: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float | None]]:
    return {
        name: [None if np.isnan(value) else value for value in values.tolist()]
        for name, values in metrics.reliability(true_index, probabilities).items()
    }


def _operating_points(
    run: Run, possible: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, resamples: int
) -> dict[str, Any] | None:
    """Applies the thresholds chosen by calibration to these images; None without a calibration."""
    if run.calibration is None:
        return None
    points = {}
    known = decided(possible)
    for index, name in enumerate(run.class_names):
        rows = known[:, index]
        is_true, score = possible[rows, index], probabilities[rows, index]
        points[name] = {}
        for goal, chosen in run.calibration["operating_points"][name].items():
            points[name][goal] = None
            if chosen is not None:
                positive = score >= chosen["threshold"]
                shares = {
                    "sensitivity": (positive, is_true),
                    "specificity": (~positive, ~is_true),
                    "ppv": (is_true, positive),
                    "npv": (~is_true, ~positive),
                }
                points[name][goal] = {
                    "target": chosen["target"],
                    "threshold": chosen["threshold"],
                    **metrics.metrics_at_threshold(is_true, score, chosen["threshold"]),
                    "intervals": share_intervals(shares, patients[rows], resamples),
                }
    return points


def _abstention(
    run: Run, true_index: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, resamples: int
) -> dict[str, Any] | None:
    """Applies the chosen confidence threshold for abstention to these images; None without one."""
    chosen = run.calibration and run.calibration["abstain"]
    if chosen is None:
        return None
    answered = probabilities.max(axis=1) >= chosen["confidence"]
    correct = probabilities.argmax(axis=1) == true_index
    shares = {"coverage": (answered, np.ones(len(answered), bool)), "accuracy": (correct, answered)}
    return {
        "target_accuracy": chosen["target_accuracy"],
        "confidence": chosen["confidence"],
        "coverage": float(answered.mean()),
        "accuracy": float(correct[answered].mean()) if answered.any() else None,
        "intervals": share_intervals(shares, patients, resamples),
    }
