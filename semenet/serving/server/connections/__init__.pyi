from .address import bind_address as bind_address
from .address import listen as listen

__all__ = ["bind_address", "listen"]
