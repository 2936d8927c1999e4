from .masked_loss import MaskedBinaryCrossentropy as MaskedBinaryCrossentropy
from .partial_loss import PartialLabelCrossentropy as PartialLabelCrossentropy

__all__ = ["MaskedBinaryCrossentropy", "PartialLabelCrossentropy"]
