"""Resize, equalisation, CLAHE, rotation and lung masking of radiographs, eager and inside tf.data.

Every function takes and gives uint8 tensors of shape (height, width, 1) and works the same eagerly,
in `tf.data.Dataset.map` and in a `tf.function`. `equalize`, `clahe` and `rotate` call OpenCV and stay
on the host. The others are TensorFlow operations alone and can be exported, as can `equalize_graph`
and `clahe_graph`, which give the same pixels as their namesakes, several times slower.
"""

import functools

import numpy as np
import tensorflow as tf

from semenet.data.transforms import host as host_transforms
from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.host_calls import host_call
from semenet.errors import SemenetError


def resize(image, size, *, mask=False):
    """Stretches an image to a size, whatever its aspect.

    Images are resampled bilinearly; where a side shrinks to under two thirds, with a triangle filter
    that widens, against aliasing. Integer arithmetic throughout gives the same pixels everywhere, compiled
    by XLA too: OpenCV's INTER_LINEAR_EXACT and Pillow's BILINEAR. Masks get the nearest pixel.

    Args:
        image: uint8 (height, width, 1), values in [0, 255].
        size: (height, width) of the result, in pixels.
        mask: whether the image is a mask, whose values must not be mixed.

    Returns:
        A uint8 tensor of shape (*size, 1).

    Raises:
        ValueError: `image` is not of that shape and dtype.
    """
    image = _checked(image, "image")
    stretch = graph_transforms.resize_mask if mask else graph_transforms.resize
    return _in_graph(stretch, image, tuple(size))


def equalize(image):
    """Histogram equalisation over the whole image, OpenCV's own (`cv2.equalizeHist`).

    Args:
        image: uint8 (height, width, 1), values in [0, 255].

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        ValueError: `image` is not of that shape and dtype.
    """
    image = _checked(image, "image")
    return _on_host(host_transforms.equalize, image)


def equalize_graph(image):
    """`equalize` in TensorFlow operations alone: same pixels, bit for bit.

    Args:
        image: as for `equalize`.

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        ValueError: as for `equalize`.
    """
    image = _checked(image, "image")
    return tf.ensure_shape(_in_graph(graph_transforms.equalize, image), image.shape)


def clahe(image, clip_limit=2.0, tiles=(8, 8)):
    """Contrast-limited adaptive histogram equalisation, OpenCV's own.

    Reference: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.

    Args:
        image: uint8 (height, width, 1), values in [0, 255].
        clip_limit: the highest histogram bin, as a multiple of a flat histogram's; 0 for no limit.
        tiles: how many tiles stand across and down, as OpenCV's tileGridSize.

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        ValueError: `image` is not of that shape and dtype, or an argument is out of range.
    """
    image = _checked(image, "image")
    clip_limit, tiles = _checked_grid(clip_limit, tiles)
    return _on_host(functools.partial(host_transforms.clahe, clip_limit=clip_limit, tiles=tiles), image)


def clahe_graph(image, clip_limit=2.0, tiles=(8, 8)):
    """`clahe` in TensorFlow operations alone, for graphs that must stand without OpenCV.

    Gives the same pixels bit for bit on the CPU; compiled by XLA, which reorders the interpolation's
    sums, single pixels may differ by one grey level.

    Args:
        image: as for `clahe`.
        clip_limit: as for `clahe`.
        tiles: as for `clahe`.

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        ValueError: as for `clahe`.
    """
    image = _checked(image, "image")
    equalized = _in_graph(graph_transforms.clahe, image, *_checked_grid(clip_limit, tiles))
    return tf.ensure_shape(equalized, image.shape)


def rotate(image, degrees, *, mask=None, fill=0):
    """Turns an image, and its mask with it, about the centre; the size stays.

    Bilinear for the image, within 0.52 grey levels of exact arithmetic (OpenCV 5's warp; its
    forerunners round coordinates to 1/32 pixel), and the nearest pixel for the mask.

    Args:
        image: uint8 (height, width, 1), values in [0, 255].
        degrees: the angle as a number or scalar tensor; positive turns counter-clockwise as seen.
        mask: uint8 (height, width, 1), turned by the same angle, or None.
        fill: the grey level, in [0, 255], of what comes in from outside the image; masks get 0.

    Returns:
        A uint8 tensor of the image's shape; with a mask, the pair (image, mask).

    Raises:
        ValueError: `image` or `mask` is not of that shape and dtype, or `fill` is no grey level.
    """
    if not 0 <= fill <= 255:
        raise SemenetError(f"`fill` must be a grey level in [0, 255]. Received: {fill}. Use 0 for black.")
    image = _checked(image, "image")
    degrees = tf.cast(degrees, tf.float64)
    turned = _on_host(functools.partial(host_transforms.rotate, fill=fill), image, degrees)
    if mask is None:
        return turned
    return turned, _on_host(host_transforms.rotate_mask, _checked(mask, "mask"), degrees)


def keep_mask(image, mask):
    """Sets everything outside the mask to 0.

    Args:
        image: uint8 (height, width, 1), values in [0, 255].
        mask: uint8 (height, width, 1); 0 is outside.

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        ValueError: `image` or `mask` is not of that shape and dtype, or their sizes differ.
    """
    image, mask = _checked(image, "image"), _checked(mask, "mask")
    if not image.shape.is_compatible_with(mask.shape):
        raise SemenetError(
            f"An image and its mask must have one size. Received: image {image.shape} and mask "
            f"{mask.shape}. Resize the mask with resize(..., mask=True)."
        )
    return tf.where(mask > 0, image, tf.zeros_like(image))


def _checked(image, name):
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8 or image.shape.rank not in (None, 3) or image.shape[2:] not in ([1], [None]):
        raise SemenetError(
            f"`{name}` must be uint8 of shape (height, width, 1). Received: {image.dtype.name} of shape "
            f"{image.shape}. Cast it, or add the last axis with image[..., None]."
        )
    return image


def _checked_grid(clip_limit, tiles):
    across, down = (int(count) for count in tiles)
    if clip_limit < 0 or across < 1 or down < 1:
        raise SemenetError(
            "`clip_limit` must be 0 or more, and `tiles` two counts of 1 or more. Received: "
            f"clip_limit={clip_limit}, tiles={tiles}. The usual ones are 2.0 and (8, 8)."
        )
    return float(clip_limit), (across, down)


def _on_host(function, image, *tensors):
    """Calls a function of arrays (height, width), and of what else it takes, on tensors."""

    @host_call
    def call(pixels, *values):
        return function(pixels[..., 0], *values)[..., np.newaxis]

    result = tf.numpy_function(call, [image, *tensors], tf.uint8, stateful=False)
    return tf.ensure_shape(result, image.shape)


def _in_graph(function, image, *arguments):
    """Calls a function of `graph_transforms`."""
    grey = function(tf.cast(image[..., 0], tf.int32), *arguments)
    return tf.cast(grey, tf.uint8)[..., tf.newaxis]
