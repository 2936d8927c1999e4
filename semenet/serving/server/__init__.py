"""The HTTP server of a SavedModel, for clients of TF Serving's REST interface.

`serve` runs it; `ServerOptions` has its address and limits.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
