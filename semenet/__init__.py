"""semenet: a Keras model zoo for chest radiographs."""

import importlib

__version__ = "0.1.0"

# Loaded on first use: importing semenet loads no TensorFlow.
_PUBLIC = {
    "Cascade": "semenet.serving.cascade.cascade",
    "build": "semenet.models.catalog",
    "list_models": "semenet.models.catalog",
    "load_model": "semenet.models.weights.loading",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'semenet' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__():
    return sorted(__all__)
