"""Converts images and feature maps to another size on any backend."""

import keras
import numpy as np
from keras import ops


def fit_images(images: keras.KerasTensor, shape: tuple[int | None, int | None, int]) -> keras.KerasTensor:
    """Converts images to the input shape of another network.

    Args:
        images: `(N, H, W, C)` in [0, 255], with C 1 (grey) or 3 (grey three times).
        shape: `(height, width, channels)`; None keeps the height or width of the images.

    Returns:
        float32 `(N, height, width, channels)` in [0, 255]; whole numbers if the images were resized.
    """
    images = ops.cast(images, "float32")[..., : shape[-1]]
    size = tuple(wanted or side for wanted, side in zip(shape[:2], images.shape[1:3], strict=True))
    if size != tuple(images.shape[1:3]):
        images = ops.round(resize(images, size))
    return images if images.shape[-1] == shape[-1] else ops.repeat(images, shape[-1], axis=-1)


def resize(images: keras.KerasTensor, size: tuple[int, int]) -> keras.KerasTensor:
    """Resizes bilinearly, with antialiasing when shrinking, as `keras.ops.image.resize(antialias=True)`.

    It computes two matrix products, because TensorFlow's operation has no XLA kernel and steps on a GPU are
    compiled.

    Args:
        images: float `(N, H, W, C)` of known height and width.
        size: `(height, width)`.

    Returns:
        `(N, height, width, C)`.
    """
    rows, columns = (_resizing_matrix(*sides) for sides in zip(images.shape[1:3], size, strict=True))
    return ops.einsum("pw,nowc->nopc", columns, ops.einsum("oh,nhwc->nowc", rows, images))


def _resizing_matrix(side: int, new_side: int) -> np.ndarray:
    """Returns the weights `(new_side, side)` of a triangle filter, which is wider for smaller images."""
    centres = (np.arange(new_side) + 0.5) * side / new_side - 0.5
    distances = abs(np.arange(side) - centres[:, np.newaxis])
    weights = np.maximum(0, 1 - distances / max(side / new_side, 1))
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
