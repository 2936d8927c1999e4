from . import data as data
from . import evaluation as evaluation
from . import inference as inference
from . import metrics as metrics
from . import models as models
from . import serving as serving
from . import training as training
from .data.images.reading import read_image as read_image
from .data.manifest.table import read_manifest as read_manifest
from .data.pipeline.datasets import training_dataset as training_dataset
from .errors import SemenetError as SemenetError
from .evaluation.cross_validation.cross_validation import cross_validate as cross_validate
from .evaluation.explanation.explanations import explain as explain
from .evaluation.hospitals.hospital_evaluation import evaluate_hospitals as evaluate_hospitals
from .evaluation.measure.calibration import calibrate as calibrate
from .evaluation.measure.comparison import compare as compare
from .evaluation.probing.embedding_probe import probe as probe
from .evaluation.shortcut_audit.classifier_audit import audit as audit
from .evaluation.split_evaluation import evaluate as evaluate
from .inference.heat_maps.class_activation import grad_cam as grad_cam
from .inference.heat_maps.map_choice import heat_map as heat_map
from .models.catalog import build as build
from .models.entries import list_models as list_models
from .models.loading import load_model as load_model
from .serving.cascade.cascade import Cascade as Cascade
from .serving.exports.saved_model import export as export
from .serving.image_reports.look_at_images import look as look
from .serving.prediction.any_network import predict as predict
from .serving.prediction.embedding_table import embed as embed
from .serving.prediction.network_predictions import predict_arrays as predict_arrays
from .training.loop.fit import train as train

__version__: str

__all__ = [
    "Cascade",
    "SemenetError",
    "audit",
    "build",
    "calibrate",
    "compare",
    "cross_validate",
    "data",
    "embed",
    "evaluate",
    "evaluate_hospitals",
    "evaluation",
    "explain",
    "export",
    "grad_cam",
    "heat_map",
    "inference",
    "list_models",
    "load_model",
    "look",
    "metrics",
    "models",
    "predict",
    "predict_arrays",
    "probe",
    "read_image",
    "read_manifest",
    "serving",
    "train",
    "training",
    "training_dataset",
]
