from .backbones.densenet import densenet169 as densenet169
from .backbones.resnet import resnet50 as resnet50
from .backbones.u_net import unet as unet
from .backbones.vgg import vgg19 as vgg19
from .catalog import architecture_arguments as architecture_arguments
from .catalog import build as build
from .entries import Entry as Entry
from .entries import find_entry as find_entry
from .entries import list_models as list_models
from .folded_inference import inference_network as inference_network
from .layers.fused_normalization import BatchNormalization as BatchNormalization
from .layers.heads import ClassifierHead as ClassifierHead
from .layers.heads import SegmentationHead as SegmentationHead
from .layers.label_mixing import MoExWarning as MoExWarning
from .layers.moment_exchange import MoExModel as MoExModel
from .layers.moment_exchange import MomentExchange as MomentExchange
from .layers.squeeze_excitation import squeeze_excite as squeeze_excite
from .layers.zoo_model import ZooModel as ZooModel
from .loading import load_model as load_model
from .receptive_fields import ReceptiveField as ReceptiveField
from .receptive_fields import ReceptiveFieldError as ReceptiveFieldError
from .receptive_fields import cell_field as cell_field
from .receptive_fields import receptive_field as receptive_field
from .weights.errors import WeightsError as WeightsError
from .weights.published import parse_published_name as parse_published_name
from .weights.published import published_names as published_names

__all__ = [
    "BatchNormalization",
    "ClassifierHead",
    "Entry",
    "MoExModel",
    "MoExWarning",
    "MomentExchange",
    "ReceptiveField",
    "ReceptiveFieldError",
    "SegmentationHead",
    "WeightsError",
    "ZooModel",
    "architecture_arguments",
    "build",
    "cell_field",
    "densenet169",
    "find_entry",
    "inference_network",
    "list_models",
    "load_model",
    "parse_published_name",
    "published_names",
    "receptive_field",
    "resnet50",
    "squeeze_excite",
    "unet",
    "vgg19",
]
