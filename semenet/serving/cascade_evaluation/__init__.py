"""A cascade on labelled radiographs: evaluated from end to end, and explained by the maps of both stages.

`evaluate_cascade` counts its decisions, and `explain_cascade` writes heat maps.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
