from .cross_validation.cross_validation import cross_validate as cross_validate
from .explanation.explanations import explain as explain
from .explanation.map_comparison import compare_map_methods as compare_map_methods
from .explanation.pointing import pointing_scores as pointing_scores
from .hospitals.hospital_evaluation import evaluate_hospitals as evaluate_hospitals
from .measure.calibration import calibrate as calibrate
from .measure.comparison import compare as compare
from .probing.embedding_probe import probe as probe
from .probing.feature_table import read_features as read_features
from .shortcut_audit.classifier_audit import audit as audit
from .split_evaluation import evaluate as evaluate

__all__ = [
    "audit",
    "calibrate",
    "compare",
    "compare_map_methods",
    "cross_validate",
    "evaluate",
    "evaluate_hospitals",
    "explain",
    "pointing_scores",
    "probe",
    "read_features",
]
