"""Predictions for users: from files and arrays, by cascades, from exported networks, and over HTTP.

`predict` scores image files with a network or a cascade; `Cascade` combines three networks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
