"""The convolutional parts of VGG19, ResNet50 and DenseNet169, and the U-Net."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
