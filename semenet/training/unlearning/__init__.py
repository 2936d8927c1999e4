"""Unlearning where an image comes from: losses that act in training alone and are not part of the network.

Group DRO, a source classifier behind a gradient reversal, and an attention loss with the lung masks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
