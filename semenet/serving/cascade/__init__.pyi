from .cascade import Cascade as Cascade
from .decisions import ABSTAIN as ABSTAIN
from .decisions import REASONS as REASONS
from .decisions import REJECTED as REJECTED
from .decisions import ChainRule as ChainRule
from .results import CascadeResult as CascadeResult
from .saved_cascade import CascadeError as CascadeError
from .saved_cascade import is_cascade as is_cascade

__all__ = [
    "ABSTAIN",
    "REASONS",
    "REJECTED",
    "Cascade",
    "CascadeError",
    "CascadeResult",
    "ChainRule",
    "is_cascade",
]
