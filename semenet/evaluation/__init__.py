"""Evaluates, compares, calibrates, audits and explains trained networks, and writes the reports.

`evaluate`, `compare`, `calibrate`, `audit` and `explain` each do what the command of the same name does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
