"""All that is measured of a classifier on a split, from its probabilities."""

import warnings

import numpy as np

from semenet import metrics
from semenet.errors import SemenetError
from semenet.evaluation.measure.subgroups import subgroup_figures, subgroups
from semenet.metrics.patient_bootstrap import classification_intervals, share_intervals

# What a report looks at where the manifest has it and nobody asked for others.
USUAL_SUBGROUPS = ("source", "view", "sex", "age")
RATES = ("sensitivity", "specificity", "ppv", "npv")


def measure_classification(run, rows, true_index, probabilities, by=None, resamples=2000):
    """Measures a classifier's probabilities, each figure with an interval over patients.

    Args:
        run: `semenet.training.run_folder.run.Run` of the classifier.
        rows: DataFrame of the N rows measured.
        true_index: int array `(N,)`.
        probabilities: float array `(N, K)`, calibrated where the run is.
        by: names of columns to measure subgroups by; None for those of `USUAL_SUBGROUPS` that tell the rows
            apart.
        resamples: int, of the patients.

    Returns:
        (figures, details): the figures of `metrics.classification`, `brier` and `ece`; and a dict, ready for
        JSON, of `intervals`, `calibration`, `operating_points`, `abstain` and `subgroups`, as
        docs/evaluation.md describes them.

    Raises:
        ValueError: as `metrics.classification`, and for a column of `by` that is not there or has too many
            values.
    """
    patients = rows["patient"].to_numpy()
    figures = metrics.classification(true_index, probabilities, run.class_names)
    figures |= {
        "brier": metrics.brier(true_index, probabilities),
        "ece": metrics.ece(true_index, probabilities),
    }
    columns = usual_subgroups(rows) if by is None else list(by)
    return figures, {
        "intervals": classification_intervals(
            true_index, probabilities, run.class_names, patients, resamples
        ),
        "calibration": _calibration(run, true_index, probabilities),
        "operating_points": _operating_points(run, true_index, probabilities, patients, resamples),
        "abstain": _abstention(run, true_index, probabilities, patients, resamples),
        "subgroups": subgroup_figures(true_index, probabilities, run.class_names, rows, columns, resamples),
    }


def usual_subgroups(rows):
    """The columns of `USUAL_SUBGROUPS` that tell these rows apart.

    One that does not make subgroups, such as a source for each image, is left out with a warning: nobody
    asked for it.
    """
    usual = []
    for column in USUAL_SUBGROUPS:
        if column in rows and rows[column].nunique() > 1:
            try:
                subgroups(rows, [column])
            except SemenetError as error:
                warnings.warn(f"No subgroups by {column}. {error}", stacklevel=2)
            else:
                usual.append(column)
    return usual


def _calibration(run, true_index, probabilities):
    chosen = run.calibration
    own = probabilities
    if chosen is not None:
        # Back to the network's own, to the rounding of float32.
        own = metrics.temper(probabilities, 1 / run.temperature, run.activation)
    return {
        "temperature": run.temperature,
        "chosen_on": chosen and {name: chosen[name] for name in ("split", "count", "manifest_sha256")},
        "reliability": _bins(true_index, probabilities),
        "uncalibrated": chosen
        and {
            "brier": metrics.brier(true_index, own),
            "ece": metrics.ece(true_index, own),
            "reliability": _bins(true_index, own),
        },
    }


def _bins(true_index, probabilities):
    return {
        name: [None if np.isnan(value) else value for value in values.tolist()]
        for name, values in metrics.reliability(true_index, probabilities).items()
    }


def _operating_points(run, true_index, probabilities, patients, resamples):
    """What the thresholds that calibration chose do on these images; None without a calibration."""
    if run.calibration is None:
        return None
    points = {}
    for index, name in enumerate(run.class_names):
        is_true, score = true_index == index, probabilities[:, index]
        points[name] = {}
        for aim, chosen in run.calibration["operating_points"][name].items():
            points[name][aim] = None
            if chosen is not None:
                positive = score >= chosen["threshold"]
                shares = {
                    "sensitivity": (positive, is_true),
                    "specificity": (~positive, ~is_true),
                    "ppv": (is_true, positive),
                    "npv": (~is_true, ~positive),
                }
                points[name][aim] = {
                    "target": chosen["target"],
                    "threshold": chosen["threshold"],
                    **metrics.at_threshold(is_true, score, chosen["threshold"]),
                    "intervals": share_intervals(shares, patients, resamples),
                }
    return points


def _abstention(run, true_index, probabilities, patients, resamples):
    """What answering only from the chosen confidence on does on these images; None without one."""
    chosen = run.calibration and run.calibration["abstain"]
    if chosen is None:
        return None
    answered = probabilities.max(axis=1) >= chosen["confidence"]
    right = probabilities.argmax(axis=1) == true_index
    shares = {"coverage": (answered, np.ones(len(answered), bool)), "accuracy": (right, answered)}
    return {
        "target_accuracy": chosen["target_accuracy"],
        "confidence": chosen["confidence"],
        "coverage": float(answered.mean()),
        "accuracy": float(right[answered].mean()) if answered.any() else None,
        "intervals": share_intervals(shares, patients, resamples),
    }
