"""The page at the server's root: a person gives images, and sees what the model says of them and why.

`served_reports` makes the reports of `semenet look` from what the SavedModel returns; `routes` answers with
them, and with the page.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
