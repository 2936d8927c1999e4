"""Reports on single images for a person: what the networks were given, what they answered, and why.

`look` makes the reports, shows them in notebooks and writes them as one page.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
