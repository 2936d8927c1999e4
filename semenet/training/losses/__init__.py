"""Losses of labels that are not complete: partial labels, and several labels with missing values."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
