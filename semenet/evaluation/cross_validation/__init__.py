"""Cross-validation: each image is predicted by a network that saw neither its patient nor its source.

Draws the folds, trains them, resumes a series that was killed, and writes one report.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
