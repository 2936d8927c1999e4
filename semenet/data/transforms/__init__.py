"""Transforms of images: resizing, equalization, CLAHE, tone changes and warps.

`host` computes them with NumPy arrays, `in_graph` computes the same pixels as TensorFlow operations.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
