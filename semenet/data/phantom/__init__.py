"""Synthetic chest radiographs with known lungs, lesions and markers.

`write_phantoms` writes a data set of them; `draw_radiograph` draws one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
