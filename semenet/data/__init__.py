"""Data of chest radiographs: image files, manifests, transforms, pipelines, checks, sources and phantoms.

`read_manifest` reads the table of a data set; `training_dataset` makes batches of its images for a network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
