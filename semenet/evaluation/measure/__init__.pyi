from .calibration import calibrate as calibrate
from .classification import default_subgroups as default_subgroups
from .classification import measure_classification as measure_classification
from .comparison import compare as compare
from .comparison import comparison_lines as comparison_lines
from .predictions import Predictions as Predictions
from .subgroups import subgroup_means as subgroup_means
from .subgroups import subgroup_metrics as subgroup_metrics

__all__ = [
    "Predictions",
    "calibrate",
    "compare",
    "comparison_lines",
    "default_subgroups",
    "measure_classification",
    "subgroup_means",
    "subgroup_metrics",
]
