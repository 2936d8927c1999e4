"""Resize, CLAHE, rotation and lung masking of radiographs, eager and inside tf.data.

Every function takes and gives uint8 tensors of shape (height, width, 1) and works the same eagerly,
in `tf.data.Dataset.map` and in a `tf.function`. `resize`, `keep_mask` and `clahe_graph` are
TensorFlow operations alone and can be exported; `clahe` and `rotate` call OpenCV, which is several
times faster, and stay on the host. The exported network uses `clahe_graph`, whose pixels are the same.
"""

import threading

import cv2
import numpy as np
import tensorflow as tf

from semenet.errors import SemenetError

_GREY_LEVELS = 256
_equalizers = threading.local()


def resize(image, size, *, mask=False):
    """Stretches an image to a size, whatever its aspect.

    Images are resampled with a triangle filter that widens when shrinking (bilinear, antialiased;
    `tf.image.resize`) and rounded half to even; masks by the nearest pixel.

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
    if mask:
        return tf.image.resize(image, size, method="nearest")
    stretched = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(stretched), tf.uint8)


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

    def equalize(pixels):
        # OpenCV's CLAHE objects keep buffers, so that no two threads may share one.
        cache = vars(_equalizers)
        if (clip_limit, tiles) not in cache:
            cache[clip_limit, tiles] = cv2.createCLAHE(clip_limit, tiles)
        return cache[clip_limit, tiles].apply(pixels[..., 0])[..., np.newaxis]

    result = tf.numpy_function(equalize, [image], tf.uint8, stateful=False)
    return tf.ensure_shape(result, image.shape)


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
    clip_limit, (across, down) = _checked_grid(clip_limit, tiles)
    grey = tf.cast(image[..., 0], tf.int32)
    height, width = tf.unstack(tf.shape(grey))
    exact = tf.logical_and(height % down == 0, width % across == 0)
    # OpenCV pads both sides as soon as one is no multiple, a side that fits by a whole tile count.
    padded_height = height + tf.where(exact, 0, down - height % down)
    padded_width = width + tf.where(exact, 0, across - width % across)
    padded = tf.gather(grey, _reflected(padded_height, height), axis=0)
    padded = tf.gather(padded, _reflected(padded_width, width), axis=1)
    tile_height, tile_width = padded_height // down, padded_width // across

    tables = _clipped_tables(padded, tile_height, tile_width, down, across, clip_limit)
    above, below, weight_down = _neighbours(height, tile_height, down)
    left, right, weight_right = _neighbours(width, tile_width, across)
    weight_down = weight_down[:, tf.newaxis]

    def looked_up(rows, columns):
        tile = rows[:, tf.newaxis] * across + columns
        return tf.cast(tf.gather(tables, tile * _GREY_LEVELS + grey), tf.float32)

    upper = looked_up(above, left) * (1 - weight_right) + looked_up(above, right) * weight_right
    lower = looked_up(below, left) * (1 - weight_right) + looked_up(below, right) * weight_right
    mixed = upper * (1 - weight_down) + lower * weight_down
    return tf.cast(tf.round(mixed), tf.uint8)[..., tf.newaxis]


def rotate(image, degrees, *, mask=None, fill=0):
    """Turns an image, and its mask with it, about the centre; the size stays.

    Bilinear for the image, within one grey level of exact arithmetic (OpenCV 5's warp; its
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
    turned = _warped(image, degrees, cv2.INTER_LINEAR, fill)
    if mask is None:
        return turned
    return turned, _warped(_checked(mask, "mask"), degrees, cv2.INTER_NEAREST, 0)


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


def _warped(image, degrees, interpolation, fill):
    def warp(pixels, degrees):
        height, width = pixels.shape[:2]
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        x, y = (width - 1) / 2, (height - 1) / 2
        # Where in the image each pixel of the result comes from; rows run downwards.
        source = np.array(
            [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
        )
        flags = interpolation | cv2.WARP_INVERSE_MAP
        turned = cv2.warpAffine(pixels, source, (width, height), flags=flags, borderValue=fill)
        return turned.reshape(pixels.shape)

    result = tf.numpy_function(warp, [image, degrees], tf.uint8, stateful=False)
    return tf.ensure_shape(result, image.shape)


def _reflected(length, size):
    """Indices of `length` pixels, of which those from `size` on are mirrored at the last one."""
    period = tf.maximum(2 * size - 2, 1)
    index = tf.range(length) % period
    return tf.minimum(index, period - index)


def _clipped_tables(padded, tile_height, tile_width, down, across, clip_limit):
    """Each tile's grey map: int32 (down * across * 256), values in [0, 255]."""
    area = tile_height * tile_width
    tile_row = tf.range(tf.shape(padded)[0]) // tile_height
    tile_column = tf.range(tf.shape(padded)[1]) // tile_width
    tile = tile_row[:, tf.newaxis] * across + tile_column
    count = down * across * _GREY_LEVELS
    flat = tf.reshape(tile * _GREY_LEVELS + padded, [-1])
    histogram = tf.math.bincount(flat, minlength=count, maxlength=count)
    histogram = tf.reshape(histogram, (down * across, _GREY_LEVELS))
    if clip_limit > 0:
        scaled = tf.cast(area, tf.float64) * clip_limit / _GREY_LEVELS
        limit = tf.maximum(tf.cast(scaled, tf.int32), 1)
        surplus = tf.reduce_sum(tf.maximum(histogram - limit, 0), axis=1, keepdims=True)
        rest = surplus % _GREY_LEVELS
        step = tf.maximum(_GREY_LEVELS // tf.maximum(rest, 1), 1)
        level = tf.range(_GREY_LEVELS)
        gets_one = tf.logical_and(level % step == 0, level // step < rest)
        histogram = tf.minimum(histogram, limit) + surplus // _GREY_LEVELS + tf.cast(gets_one, tf.int32)
    scale = tf.constant(_GREY_LEVELS - 1, tf.float32) / tf.cast(area, tf.float32)
    table = tf.round(tf.cast(tf.cumsum(histogram, axis=1), tf.float32) * scale)
    return tf.reshape(tf.cast(tf.clip_by_value(table, 0, 255), tf.int32), [-1])


def _neighbours(size, tile, count):
    """The tiles before and after each pixel's position, and the weight of the one after."""
    position = tf.range(size, dtype=tf.int32)
    place = tf.cast(position, tf.float32) * (1 / tf.cast(tile, tf.float32)) - 0.5
    before = tf.floor(place)
    index = tf.cast(before, tf.int32)
    return tf.maximum(index, 0), tf.minimum(index + 1, count - 1), place - before
