"""Transfers sets of weights: from web servers and from the Hugging Face Hub, and to folders and the Hub."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
