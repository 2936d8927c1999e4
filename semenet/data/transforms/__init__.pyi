from . import host as host
from . import in_graph as in_graph
from .augmentation import Augmentation as Augmentation
from .mask_threshold import MASK_LEVEL as MASK_LEVEL

__all__ = ["MASK_LEVEL", "Augmentation", "host", "in_graph"]
