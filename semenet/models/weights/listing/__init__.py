"""What lists and errors say about published weights: summaries of a set, and how to get a missing one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
