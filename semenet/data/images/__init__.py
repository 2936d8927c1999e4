"""Reads image files of every supported format as 8-bit grey images.

Also lists image files, detects colour, and reads images inside TFRecord shards and TensorFlow graphs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
