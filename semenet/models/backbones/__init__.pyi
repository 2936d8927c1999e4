from .densenet import densenet169 as densenet169
from .resnet import resnet50 as resnet50
from .u_net import CropToMatch as CropToMatch
from .u_net import unet as unet
from .variants import scaled_channels as scaled_channels
from .variants import scaled_repeats as scaled_repeats
from .vgg import vgg19 as vgg19

__all__ = [
    "CropToMatch",
    "densenet169",
    "resnet50",
    "scaled_channels",
    "scaled_repeats",
    "unet",
    "vgg19",
]
