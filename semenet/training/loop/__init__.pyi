from .checkpoint_callback import TrainingError as TrainingError
from .fit import build_network as build_network
from .fit import train as train
from .optimization import compile_network as compile_network
from .optimization import precision_policy as precision_policy

__all__ = [
    "TrainingError",
    "build_network",
    "compile_network",
    "precision_policy",
    "train",
]
