from .bmp import decode_bmp as decode_bmp
from .dicom import decode_dicom as decode_dicom
from .dicom import is_dicom as is_dicom
from .jpeg import decode_jpeg as decode_jpeg
from .png import decode_png as decode_png
from .tiff import decode_tiff as decode_tiff

__all__ = ["decode_bmp", "decode_dicom", "decode_jpeg", "decode_png", "decode_tiff", "is_dicom"]
