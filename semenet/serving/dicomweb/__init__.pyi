from .archive import Archive as Archive
from .archive import ArchiveError as ArchiveError
from .study_predictions import predict_studies as predict_studies

__all__ = ["Archive", "ArchiveError", "predict_studies"]
