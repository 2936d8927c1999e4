"""The networks: layers, backbones, the catalogue that builds them by name, and their weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
