"""Metrics of a classification and of a segmentation, computed from arrays, with their intervals.

Training monitors and evaluation reports use the same functions.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
