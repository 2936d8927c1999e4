from .any_network import predict as predict
from .cascade_predictions import predict_cascade as predict_cascade
from .mask_files import fill_masks as fill_masks
from .network_predictions import predict_arrays as predict_arrays
from .network_predictions import predict_network as predict_network

__all__ = [
    "fill_masks",
    "predict",
    "predict_arrays",
    "predict_cascade",
    "predict_network",
]
