from .any_network import predict as predict
from .cascade_predictions import predict_cascade as predict_cascade
from .embedding_table import embed as embed
from .embedding_table import nearest_images as nearest_images
from .mask_files import fill_masks as fill_masks
from .network_predictions import predict_arrays as predict_arrays
from .network_predictions import predict_network as predict_network

__all__ = [
    "embed",
    "fill_masks",
    "nearest_images",
    "predict",
    "predict_arrays",
    "predict_cascade",
    "predict_network",
]
