"""Readers of data sets that tell several findings of each image: one column for each finding.

Each reader turns a downloaded folder into rows; `RowRules` selects rows, columns and labels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
