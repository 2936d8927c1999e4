"""All metrics of a network with sigmoid outputs on a split, each finding for itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.evaluation.measure.classification import default_subgroups
from semenet.evaluation.measure.subgroups import measure_each
from semenet.metrics.findings_metrics import findings_intervals
from semenet.training.run_folder.run import Run


def measure_findings(
    run: Run,
    rows: pd.DataFrame,
    labels: np.ndarray,
    probabilities: np.ndarray,
    by: Sequence[str] | None = None,
    resamples: int = 2000,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Computes the metrics of each finding at the run's thresholds, with intervals over patients.

    Args:
        run: the run of a network with sigmoid outputs.
        rows: DataFrame of the N evaluated rows.
        labels: `(N, K)`, as from `semenet.data.known_labels`.
        probabilities: float array `(N, K)`.
        by: columns to evaluate subgroups by; None for those of `DEFAULT_SUBGROUPS` with several values.
        resamples: number of bootstrap resamples of the patients.

    Returns:
        (values, details): the metrics of `semenet.metrics.findings`; and a dict, ready for JSON, of
        `intervals`, `thresholds_chosen_on` (None where the thresholds are 0.5 by default) and `subgroups`, as
        docs/evaluation.md describes them.
    """
    patients = rows["patient"].to_numpy()
    names, thresholds = run.class_names, run.thresholds
    values = metrics.findings(labels, probabilities, names, thresholds)
    columns = default_subgroups(rows) if by is None else list(by)

    def measure(mask: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
        arrays = labels[mask], probabilities[mask], names
        of_group = metrics.findings(*arrays, thresholds)
        return {
            "classes": {name: found["support"] for name, found in of_group["per_class"].items()},
            "figures": of_group,
            "intervals": findings_intervals(*arrays, patients, thresholds, resamples),
        }

    chosen = run.calibration
    return values, {
        "labels": "several",
        "intervals": findings_intervals(labels, probabilities, names, patients, thresholds, resamples),
        "thresholds_chosen_on": chosen
        and {name: chosen[name] for name in ("split", "count", "manifest_sha256")},
        "subgroups": measure_each(rows, columns, measure),
    }
