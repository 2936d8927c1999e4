"""Heat maps of a network's features: methods, layers, and how maps are drawn over images.

Their computation in graphs, by `semenet.serving` too, is in `graphs`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
