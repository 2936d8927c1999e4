"""Evaluates networks with sigmoid outputs, which may report several findings of one image, or none."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.manifest.several_labels import PREFIX, known_labels
from semenet.evaluation.measure.findings import measure_findings
from semenet.evaluation.measure.predictions import Predictions
from semenet.evaluation.report.findings_sections import findings_sections
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import reported_findings
from semenet.training.run_folder.run import Run


def evaluate_findings(
    run: Run,
    rows: pd.DataFrame,
    batch_size: int,
    score: Callable[..., Any],
    by: Sequence[str] | None,
    resamples: int,
    masks: LungMasks,
) -> tuple[dict[str, Any], dict[str, Any], pd.DataFrame, Callable[[], dict[str, Any]]]:
    """Evaluates a network with sigmoid outputs on rows of a manifest.

    Args:
        run: the run.
        rows: the rows, with columns label:NAME or label.
        batch_size: number of images predicted at a time.
        score: scoring function, as returned by `semenet.inference.scoring.scoring_function_with_maps`.
        by: columns to evaluate subgroups by; None for the usual ones.
        resamples: number of bootstrap resamples of the patients.
        masks: source of the lung masks, for a network that takes lungs alone.

    Returns:
        The metrics by name, further keys of metrics.json, the table of predictions.csv, and a
        function that draws the sections of the report.
    """
    labels = known_labels(rows, run.class_names)
    predictions = Predictions(run, rows, score, masks, batch_size)
    probabilities = predictions.probabilities
    values, details = measure_findings(run, rows, labels, probabilities, by, resamples)
    predicted = reported_findings(probabilities, run.class_names, run.thresholds)
    # The words of the manifest's cells differ: these are always 1, 0 or empty.
    cells = np.where(labels < 0, "", (labels == 1).astype(int).astype(str))
    table = pd.concat(
        [
            rows[["file", "patient", *(["label"] if "label" in rows else [])]],
            pd.DataFrame(cells, columns=[PREFIX + name for name in run.class_names]),
            pd.Series(predicted, name="predicted"),
            pd.DataFrame(probabilities, columns=list(run.class_names)),
        ],
        axis=1,
    )
    if predictions.flags is not None:
        table["lung_flags"] = predictions.flags
        details["lungs"] = predictions.lungs
    draw = functools.partial(findings_sections, run, rows, values, details, labels, predictions)
    return values, details, table, draw
