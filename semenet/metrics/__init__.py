"""Figures of a classification and of a segmentation, from arrays.

What training watches and what evaluation reports is the same code.
"""

from semenet.metrics.calibration import (
    brier,
    ece,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    temper,
)
from semenet.metrics.classification_metrics import (
    accuracy,
    balanced_accuracy,
    classification,
    confusion_matrix,
    macro_auroc,
    macro_average_precision,
    macro_f1,
    micro_auroc,
    precision_recall_curve,
    roc_curve,
)
from semenet.metrics.nesting import flat
from semenet.metrics.operating_points import abstain_band, at_threshold, threshold_for
from semenet.metrics.resampled import resampled_classification
from semenet.metrics.segmentation_metrics import mean_overlap, overlap, segmentation
from semenet.metrics.surface_distance import hausdorff95

__all__ = [
    "abstain_band",
    "accuracy",
    "at_threshold",
    "balanced_accuracy",
    "brier",
    "classification",
    "confusion_matrix",
    "ece",
    "fit_temperature",
    "flat",
    "hausdorff95",
    "macro_auroc",
    "macro_average_precision",
    "macro_f1",
    "mean_overlap",
    "micro_auroc",
    "negative_log_likelihood",
    "overlap",
    "precision_recall_curve",
    "reliability",
    "resampled_classification",
    "roc_curve",
    "segmentation",
    "temper",
    "threshold_for",
]
