"""Checks and decoders of the image formats: PNG, JPEG, TIFF, BMP and DICOM.

`semenet.data.images.reading` selects the decoder by a file's first bytes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
