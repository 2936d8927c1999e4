"""The input pipeline, from the rows of a manifest to tf.data datasets.

`training_dataset` augments and shuffles; `evaluation_dataset` keeps the manifest's images and order.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
