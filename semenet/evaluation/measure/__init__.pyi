from .calibration import calibrate as calibrate
from .choices import choices as choices
from .choices import chosen_by_training as chosen_by_training
from .choices import describe_evidence as describe_evidence
from .choices import evidence_kind as evidence_kind
from .choices import evidence_of as evidence_of
from .classification import default_subgroups as default_subgroups
from .classification import measure_classification as measure_classification
from .comparison import compare as compare
from .comparison import comparison_lines as comparison_lines
from .predictions import Predictions as Predictions
from .saved_predictions import SavedPredictions as SavedPredictions
from .subgroups import subgroup_means as subgroup_means
from .subgroups import subgroup_metrics as subgroup_metrics

__all__ = [
    "Predictions",
    "SavedPredictions",
    "calibrate",
    "choices",
    "chosen_by_training",
    "compare",
    "comparison_lines",
    "default_subgroups",
    "describe_evidence",
    "evidence_kind",
    "evidence_of",
    "measure_classification",
    "subgroup_means",
    "subgroup_metrics",
]
