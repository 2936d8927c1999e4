"""Run folders: everything that a training run writes.

Names and formats of the files, exact checkpoints, and `Run`, which opens a trained network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
