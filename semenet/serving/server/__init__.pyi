from .options import ServerOptions as ServerOptions
from .startup import serve as serve

__all__ = ["ServerOptions", "serve"]
