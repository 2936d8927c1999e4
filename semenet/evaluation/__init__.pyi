from .explanation.explanations import explain as explain
from .measure.calibration import calibrate as calibrate
from .measure.comparison import compare as compare
from .shortcut_audit.classifier_audit import audit as audit
from .split_evaluation import evaluate as evaluate

__all__ = ["audit", "calibrate", "compare", "evaluate", "explain"]
