"""Manifests: tables of radiographs with patients, labels and splits.

Reads, checks and writes their CSV files, and draws splits of whole patients.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
