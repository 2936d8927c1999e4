"""The two-stage cascade: composed from three networks, saved as one folder.

`Cascade` classifies images; `is_cascade` recognises the folder of a saved one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
