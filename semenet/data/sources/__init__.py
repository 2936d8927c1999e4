"""Readers of public data sets: each turns a downloaded folder into the rows of a manifest.

`read_class_folders` reads any data set with one folder per class.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
