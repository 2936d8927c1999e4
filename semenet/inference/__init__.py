"""From a trained network and images to probabilities, lung masks and heat maps.

`scoring_function` and `LungMasks` prepare a network for many batches; `grad_cam` explains one batch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
