from .evaluation import CascadeEvaluation as CascadeEvaluation
from .evaluation import evaluate_cascade as evaluate_cascade
from .explanations import explain_cascade as explain_cascade

__all__ = ["CascadeEvaluation", "evaluate_cascade", "explain_cascade"]
