"""The metrics of a cross-validation: per fold, averaged over folds, and of all held-out images."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet.evaluation.cross_validation.fold_training import FoldResult
from semenet.evaluation.measure.saved_predictions import SavedPredictions
from semenet.metrics.patient_resamples import percentile_interval

# The metrics that are averaged over the folds and head the tables.
AVERAGED = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "dice", "iou", "mean_iou")


def pool(results: Sequence[FoldResult]) -> SavedPredictions:
    """Returns the predictions of all held-out images, with the column `fold` before the others."""
    parts = [result.held_out.rows.assign(fold=result.fold.name) for result in results]
    rows = pd.concat(parts, ignore_index=True)
    return SavedPredictions(rows[["fold", *rows.columns.drop("fold")]], results[0].held_out.class_names)


def measure_fold(result: FoldResult, resamples: int) -> dict[str, Any]:
    """Returns what is reported of one fold, ready for JSON."""
    return {
        "name": result.fold.name,
        **result.fold.counts(),
        "excluded": result.fold.excluded,
        "best_epoch": result.best_epoch,
        "temperature": result.metrics.get("calibration", {}).get("temperature"),
        "model_sha256": result.metrics["model_sha256"],
        "manifest_sha256": result.metrics["manifest_sha256"],
        "skipped": result.metrics["skipped"],
        **result.held_out.measure(resamples),
    }


def average_over_folds(
    results: Sequence[FoldResult], measured: Sequence[dict[str, Any]], resamples: int
) -> dict[str, Any]:
    """Averages metrics over the folds in which they are defined, with equal weights.

    The interval is that of the mean when the patients of each fold are resampled; the networks stay the same.

    Args:
        results: the finished folds.
        measured: dict of `measure_fold` for each.
        resamples: number of bootstrap resamples.

    Returns:
        dict from metric to `mean`, `sd` (n - 1; None for fewer than two folds), `folds`, the number of folds
        in which it is defined, and `interval`.
    """
    draws = [result.held_out.resampled(resamples, seed) for seed, result in enumerate(results)]
    averages = {}
    for name in (name for name in AVERAGED if name in measured[0]["figures"]):
        values = [of_fold["figures"][name] for of_fold in measured]
        defined = [place for place, value in enumerate(values) if value is not None]
        chosen = [values[place] for place in defined]
        averages[name] = {
            "mean": statistics.mean(chosen) if chosen else None,
            "sd": statistics.stdev(chosen) if len(chosen) > 1 else None,
            "folds": len(chosen),
            "interval": percentile_interval(np.mean([draws[place][name] for place in defined], axis=0), 0.95)
            if chosen
            else None,
        }
    return averages
