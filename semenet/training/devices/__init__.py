"""The devices that a run trains on.

One device, several GPUs of a machine, or several processes on one or more machines.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
