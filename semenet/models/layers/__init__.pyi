from .batch_rolling import is_divided as is_divided
from .batch_rolling import roll_batch as roll_batch
from .convolutions import batch_normalization as batch_normalization
from .convolutions import convolution as convolution
from .convolutions import stem as stem
from .fused_normalization import BatchNormalization as BatchNormalization
from .heads import ClassifierHead as ClassifierHead
from .heads import SegmentationHead as SegmentationHead
from .heads import check_class_names as check_class_names
from .heads import flatten as flatten
from .heads import global_average as global_average
from .input_scaling import has_imagenet_scaling as has_imagenet_scaling
from .input_scaling import scale_input as scale_input
from .label_mixing import MoExWarning as MoExWarning
from .moment_exchange import MoExModel as MoExModel
from .moment_exchange import MomentExchange as MomentExchange
from .moment_exchange import exchange_moments as exchange_moments
from .squeeze_excitation import squeeze_excite as squeeze_excite
from .zoo_model import ZooModel as ZooModel

__all__ = [
    "BatchNormalization",
    "ClassifierHead",
    "MoExModel",
    "MoExWarning",
    "MomentExchange",
    "SegmentationHead",
    "ZooModel",
    "batch_normalization",
    "check_class_names",
    "convolution",
    "exchange_moments",
    "flatten",
    "global_average",
    "has_imagenet_scaling",
    "is_divided",
    "roll_batch",
    "scale_input",
    "squeeze_excite",
    "stem",
]
