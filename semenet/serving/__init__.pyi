from .cascade.cascade import Cascade as Cascade
from .cascade.results import CascadeResult as CascadeResult
from .cascade.saved_cascade import CascadeError as CascadeError
from .exports.runtime_formats import ExportError as ExportError
from .exports.runtime_formats import export_format as export_format
from .exports.runtimes import open_exported as open_exported
from .exports.saved_model import export as export
from .exports.tf_serving import export_for_tf_serving as export_for_tf_serving
from .prediction.any_network import predict as predict
from .prediction.mask_files import fill_masks as fill_masks
from .prediction.network_predictions import predict_arrays as predict_arrays
from .server.options import ServerOptions as ServerOptions
from .server.startup import serve as serve

__all__ = [
    "Cascade",
    "CascadeError",
    "CascadeResult",
    "ExportError",
    "ServerOptions",
    "export",
    "export_for_tf_serving",
    "export_format",
    "fill_masks",
    "open_exported",
    "predict",
    "predict_arrays",
    "serve",
]
