"""The shortcut audit: whether a network, or any other, can predict the label without seeing the lungs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
