from .cross_validation import cross_validate as cross_validate
from .folds import Fold as Fold
from .folds import draw_folds as draw_folds

__all__ = ["Fold", "cross_validate", "draw_folds"]
