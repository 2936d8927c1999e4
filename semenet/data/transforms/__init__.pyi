from . import host as host
from . import in_graph as in_graph
from .augmentation import Augmentation as Augmentation
from .lung_view import LungView as LungView
from .mask_threshold import MASK_LEVEL as MASK_LEVEL

__all__ = ["MASK_LEVEL", "Augmentation", "LungView", "host", "in_graph"]
