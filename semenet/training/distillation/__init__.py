"""Knowledge distillation from a trained network.

A student learns from the soft labels and the attention of a teacher.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
