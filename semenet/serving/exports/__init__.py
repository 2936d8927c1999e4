"""Exports of trained networks: SavedModel, ONNX, OpenVINO, LiteRT, and folders for TensorFlow Serving.

`export` writes a SavedModel, `export_format` another format, `open_exported` opens one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
