from .class_labels import complete_labels as complete_labels
from .class_labels import has_partial_label as has_partial_label
from .class_labels import labels_contradict as labels_contradict
from .class_labels import possible_classes as possible_classes
from .errors import ManifestError as ManifestError
from .errors import ManifestWarning as ManifestWarning
from .errors import MissingManifestError as MissingManifestError
from .names import normal_form as normal_form
from .several_labels import known_labels as known_labels
from .several_labels import label_columns as label_columns
from .several_labels import split_findings as split_findings
from .splitting import split_patients as split_patients
from .table import Manifest as Manifest
from .table import check_patients as check_patients
from .table import label_index as label_index
from .table import patients_in_several_splits as patients_in_several_splits
from .table import read_manifest as read_manifest
from .table import write_manifest as write_manifest

__all__ = [
    "Manifest",
    "ManifestError",
    "ManifestWarning",
    "MissingManifestError",
    "check_patients",
    "complete_labels",
    "has_partial_label",
    "known_labels",
    "label_columns",
    "label_index",
    "labels_contradict",
    "normal_form",
    "patients_in_several_splits",
    "possible_classes",
    "read_manifest",
    "split_findings",
    "split_patients",
    "write_manifest",
]
