from .cascade.cascade import Cascade as Cascade
from .cascade.results import CascadeResult as CascadeResult
from .cascade.saved_cascade import CascadeError as CascadeError
from .cascade_evaluation.evaluation import CascadeEvaluation as CascadeEvaluation
from .cascade_evaluation.evaluation import evaluate_cascade as evaluate_cascade
from .cascade_evaluation.explanations import explain_cascade as explain_cascade
from .exports.runtime_formats import ExportError as ExportError
from .exports.runtime_formats import export_format as export_format
from .exports.runtimes import open_exported as open_exported
from .exports.saved_model import export as export
from .exports.tf_serving import export_for_tf_serving as export_for_tf_serving
from .image_reports.image_report import ImageReport as ImageReport
from .image_reports.image_report import NetworkReport as NetworkReport
from .image_reports.look_at_images import look as look
from .image_reports.report_list import ImageReports as ImageReports
from .prediction.any_network import predict as predict
from .prediction.embedding_table import embed as embed
from .prediction.embedding_table import nearest_images as nearest_images
from .prediction.mask_files import fill_masks as fill_masks
from .prediction.network_predictions import predict_arrays as predict_arrays
from .server.options import ServerOptions as ServerOptions
from .server.startup import serve as serve

__all__ = [
    "Cascade",
    "CascadeError",
    "CascadeEvaluation",
    "CascadeResult",
    "ExportError",
    "ImageReport",
    "ImageReports",
    "NetworkReport",
    "ServerOptions",
    "embed",
    "evaluate_cascade",
    "explain_cascade",
    "export",
    "export_for_tf_serving",
    "export_format",
    "fill_masks",
    "look",
    "nearest_images",
    "open_exported",
    "predict",
    "predict_arrays",
    "serve",
]
