"""One network in several hospitals: internal beside external, and the difference with its interval."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
