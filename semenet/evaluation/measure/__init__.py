"""Metrics of a split with confidence intervals: overall and by subgroup; calibration and comparison."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
