"""Trains networks: recipes, presets, run folders and the training loop.

The sub-packages hold the parts of a run; a user needs `train`, `Recipe` and `Run`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
