"""Checks of a data set: unreadable files, copies, leaks between splits, shortcuts.

`check_manifest` runs them all; `find_image` searches for copies of one image.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
