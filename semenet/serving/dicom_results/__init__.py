"""Writes a cascade's results as DICOM objects that refer to the radiograph they are about."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
