"""One manifest of several: labels mapped, conflicts refused.

`combine_manifests` does all of it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
