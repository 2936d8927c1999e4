from .calibration import apply_temperature as apply_temperature
from .calibration import brier_score as brier_score
from .calibration import expected_calibration_error as expected_calibration_error
from .calibration import fit_temperature as fit_temperature
from .calibration import negative_log_likelihood as negative_log_likelihood
from .calibration import reliability as reliability
from .classification_metrics import accuracy as accuracy
from .classification_metrics import balanced_accuracy as balanced_accuracy
from .classification_metrics import classification as classification
from .classification_metrics import confusion_matrix as confusion_matrix
from .classification_metrics import macro_auroc as macro_auroc
from .classification_metrics import macro_average_precision as macro_average_precision
from .classification_metrics import macro_f1 as macro_f1
from .classification_metrics import micro_auroc as micro_auroc
from .curves import precision_recall_curve as precision_recall_curve
from .curves import roc_curve as roc_curve
from .delong_test import TooFewImagesError as TooFewImagesError
from .delong_test import clustered_delong as clustered_delong
from .delong_test import delong as delong
from .dotted_keys import add_dotted_keys as add_dotted_keys
from .findings_metrics import findings as findings
from .findings_metrics import findings_intervals as findings_intervals
from .findings_metrics import youden_threshold as youden_threshold
from .operating_points import choose_abstention as choose_abstention
from .operating_points import choose_threshold as choose_threshold
from .operating_points import metrics_at_threshold as metrics_at_threshold
from .patient_bootstrap import classification_intervals as classification_intervals
from .patient_bootstrap import mean_intervals as mean_intervals
from .patient_bootstrap import paired_intervals as paired_intervals
from .patient_bootstrap import share_intervals as share_intervals
from .patient_resamples import PatientBootstrap as PatientBootstrap
from .resampled_metrics import resampled_classification as resampled_classification
from .segmentation_metrics import mean_overlap as mean_overlap
from .segmentation_metrics import overlap as overlap
from .segmentation_metrics import segmentation as segmentation
from .surface_distance import hausdorff95 as hausdorff95

__all__ = [
    "PatientBootstrap",
    "TooFewImagesError",
    "accuracy",
    "add_dotted_keys",
    "apply_temperature",
    "balanced_accuracy",
    "brier_score",
    "choose_abstention",
    "choose_threshold",
    "classification",
    "classification_intervals",
    "clustered_delong",
    "confusion_matrix",
    "delong",
    "expected_calibration_error",
    "findings",
    "findings_intervals",
    "fit_temperature",
    "hausdorff95",
    "macro_auroc",
    "macro_average_precision",
    "macro_f1",
    "mean_intervals",
    "mean_overlap",
    "metrics_at_threshold",
    "micro_auroc",
    "negative_log_likelihood",
    "overlap",
    "paired_intervals",
    "precision_recall_curve",
    "reliability",
    "resampled_classification",
    "roc_curve",
    "segmentation",
    "share_intervals",
    "youden_threshold",
]
