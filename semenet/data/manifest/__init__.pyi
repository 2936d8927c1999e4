from .csv_file import ManifestError as ManifestError
from .csv_file import MissingManifestError as MissingManifestError
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
    "MissingManifestError",
    "check_patients",
    "label_index",
    "patients_in_several_splits",
    "read_manifest",
    "split_patients",
    "write_manifest",
]
