from .cascade.cascade import Cascade as Cascade
from .cascade.results import CascadeResult as CascadeResult
from .cascade.saved_cascade import CascadeError as CascadeError
from .prediction.any_network import predict as predict
from .prediction.mask_files import fill_masks as fill_masks
from .prediction.network_predictions import predict_arrays as predict_arrays

__all__ = [
    "Cascade",
    "CascadeError",
    "CascadeResult",
    "fill_masks",
    "predict",
    "predict_arrays",
]
