"""Predictions for files on disk and arrays in memory, and lung masks for manifests.

`predict` accepts a network or a cascade; `predict_arrays` scores arrays with one network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
