"""semenet: a Keras model zoo for chest radiographs.

The public names are listed in `__init__.pyi` and are imported on first use: importing semenet loads
neither TensorFlow nor Keras.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
