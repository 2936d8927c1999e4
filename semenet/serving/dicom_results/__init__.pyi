from .finding import ImageFinding as ImageFinding
from .result_files import DicomResults as DicomResults

__all__ = ["DicomResults", "ImageFinding"]
