"""Heat maps of image files and of splits: written as pictures, located in the lungs, and checked."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
