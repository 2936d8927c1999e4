"""Figures of a classification and of a segmentation, from arrays.

What training watches and what evaluation reports is the same code.
"""

from semenet.metrics.classes import (
    accuracy,
    classification,
    confusion_matrix,
    macro_auroc,
    macro_f1,
    micro_auroc,
    roc_curve,
)
from semenet.metrics.masks import mean_overlap, overlap, segmentation
from semenet.metrics.nesting import flat

__all__ = [
    "accuracy",
    "classification",
    "confusion_matrix",
    "flat",
    "macro_auroc",
    "macro_f1",
    "mean_overlap",
    "micro_auroc",
    "overlap",
    "roc_curve",
    "segmentation",
]
