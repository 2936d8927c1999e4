from .gradient_reversal import reversal_ramp as reversal_ramp
from .gradient_reversal import reverse_gradient as reverse_gradient
from .group_weights import GroupWeights as GroupWeights
from .lung_attention import AttentionOutsideLungs as AttentionOutsideLungs
from .lung_attention import class_activation as class_activation
from .row_values import UnlearningValues as UnlearningValues
from .row_values import unlearning_values as unlearning_values
from .source_classifier import SourceClassifier as SourceClassifier
from .source_unlearning import SourceUnlearning as SourceUnlearning
from .source_unlearning import unlearn_source as unlearn_source

__all__ = [
    "AttentionOutsideLungs",
    "GroupWeights",
    "SourceClassifier",
    "SourceUnlearning",
    "UnlearningValues",
    "class_activation",
    "reversal_ramp",
    "reverse_gradient",
    "unlearn_source",
    "unlearning_values",
]
