"""The pixels of a DICOM file: the attributes that describe them, their decoding, and their grey levels.

`semenet.data.images.formats.dicom` reads the file, and calls these modules in this order.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
