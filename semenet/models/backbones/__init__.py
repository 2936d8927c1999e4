"""The convolutional backbones and the U-Net."""
