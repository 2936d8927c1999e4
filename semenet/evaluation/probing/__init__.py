"""A linear classifier on a table of embeddings, measured on patients that it has not seen."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
