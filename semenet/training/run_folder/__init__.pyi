from .checkpoint import CheckpointError as CheckpointError
from .file_names import calibration_file as calibration_file
from .file_names import model_file as model_file
from .record import RunFolderError as RunFolderError
from .record import package_versions as package_versions
from .record import read_calibration as read_calibration
from .record import read_record as read_record
from .run import Run as Run

__all__ = [
    "CheckpointError",
    "Run",
    "RunFolderError",
    "calibration_file",
    "model_file",
    "package_versions",
    "read_calibration",
    "read_record",
]
