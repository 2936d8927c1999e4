"""Connections: the address that the server listens at, HTTP as uvicorn reads it, and clients that go away."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
