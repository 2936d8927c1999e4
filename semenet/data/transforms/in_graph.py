"""Resizing, equalization and CLAHE as TensorFlow operations, for graphs that run without Python or OpenCV.

Each function computes the same pixels as its namesake in `semenet.data.transforms.host`, bit for bit, several
times slower. One exception: XLA reorders the sums of `clahe`, so that single pixels may differ by one grey
level. All take and return uint8 tensors of shape (height, width), with values in [0, 255] and sizes that may
be unknown until the graph runs. They work eagerly, in `tf.data.Dataset.map` and in `tf.function`.
"""

from collections.abc import Sequence

import tensorflow as tf

from semenet.data.transforms.clahe_arguments import check_clahe_arguments
from semenet.errors import SemenetError

_GREY_LEVELS = 256
# Numbers of fractional bits of the integer weights: Pillow's (libImaging/Resample.c) and OpenCV's
# (INTER_LINEAR_EXACT, imgproc/src/resize.cpp).
_TRIANGLE_BITS = 22
_LINEAR_BITS = 8


def resize(image: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Resizes an image bilinearly, as `semenet.data.transforms.host.resize` does.

    Args:
        image: uint8 (height, width), values in [0, 255].
        size: (height, width) of the result, in pixels: two int or two scalar int32 tensors.

    Returns:
        A uint8 tensor of shape `size`.

    Raises:
        SemenetError: `image` has another dtype or rank.
    """
    grey = _as_int32(image)
    old = tf.unstack(tf.shape(grey))
    shrinks_much = tf.reduce_any([2 * before > 3 * after for before, after in zip(old, size, strict=True)])
    resized = tf.cond(shrinks_much, lambda: _resize_triangle(grey, size), lambda: _resize_linear(grey, size))
    return tf.cast(resized, tf.uint8)


def resize_mask(mask: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Resizes a mask by nearest neighbour, as `semenet.data.transforms.host.resize_mask` does.

    Args:
        mask: uint8 (height, width).
        size: as for `resize`.

    Returns:
        A uint8 tensor of shape `size`, with values of `mask` only.

    Raises:
        SemenetError: `mask` has another dtype or rank.
    """
    mask = _checked(mask)
    rows, columns = (
        (2 * tf.range(new) + 1) * old // (2 * new)
        for old, new in zip(tf.unstack(tf.shape(mask)), size, strict=True)
    )
    return tf.gather(tf.gather(mask, rows), columns, axis=1)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Equalizes the histogram of the whole image, as `semenet.data.transforms.host.equalize` does.

    Args:
        image: uint8 (height, width), values in [0, 255].

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        SemenetError: `image` has another dtype or rank.
    """
    image = _checked(image)
    grey = _as_int32(image)
    histogram = tf.math.bincount(tf.reshape(grey, [-1]), minlength=_GREY_LEVELS, maxlength=_GREY_LEVELS)
    lowest = tf.reduce_min(grey)
    others = tf.size(grey) - histogram[lowest]
    scale = tf.constant(_GREY_LEVELS - 1, tf.float32) / tf.cast(tf.maximum(others, 1), tf.float32)
    # The lowest grey level of the image becomes black; levels below it do not occur.
    counted = tf.cast(tf.cumsum(histogram) - histogram[lowest], tf.float32)
    table = tf.cast(tf.clip_by_value(tf.round(counted * scale), 0, 255), tf.int32)
    # An image with a single grey level stays unchanged.
    equalized = tf.where(others == 0, grey, tf.gather(table, grey))
    return tf.ensure_shape(tf.cast(equalized, tf.uint8), image.shape)


def clahe(image: tf.Tensor, clip_limit: float = 2.0, tiles: tuple[int, int] = (8, 8)) -> tf.Tensor:
    """Applies contrast-limited adaptive histogram equalization, as `semenet.data.transforms.host.clahe` does.

    Args:
        image: uint8 (height, width), values in [0, 255].
        clip_limit: the highest histogram bin, as a multiple of a flat histogram's; 0 for no limit.
        tiles: the number of tiles across and down, as OpenCV's tileGridSize.

    Returns:
        A uint8 tensor of the image's shape.

    Raises:
        SemenetError: `image` has another dtype or rank, or `clip_limit` or `tiles` is out of range.
    """
    clip_limit, (across, down) = check_clahe_arguments(clip_limit, tiles)
    image = _checked(image)
    grey = _as_int32(image)
    height, width = tf.unstack(tf.shape(grey))
    exact = tf.logical_and(height % down == 0, width % across == 0)
    # OpenCV pads both sides as soon as one is no multiple: a side that is one gets a full tile count more.
    padded_height = height + tf.where(exact, 0, down - height % down)
    padded_width = width + tf.where(exact, 0, across - width % across)
    padded = tf.gather(grey, _reflected(padded_height, height), axis=0)
    padded = tf.gather(padded, _reflected(padded_width, width), axis=1)
    tile_height, tile_width = padded_height // down, padded_width // across

    tables = _clipped_tables(padded, tile_height, tile_width, down, across, clip_limit)
    above, below, weight_down = _neighbours(height, tile_height, down)
    left, right, weight_right = _neighbours(width, tile_width, across)
    weight_down = weight_down[:, tf.newaxis]

    def map_grey(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """Maps each pixel by the table of one of its four neighbouring tiles."""
        tile = rows[:, tf.newaxis] * across + columns
        return tf.cast(tf.gather(tables, tile * _GREY_LEVELS + grey), tf.float32)

    upper = map_grey(above, left) * (1 - weight_right) + map_grey(above, right) * weight_right
    lower = map_grey(below, left) * (1 - weight_right) + map_grey(below, right) * weight_right
    mixed = upper * (1 - weight_down) + lower * weight_down
    return tf.ensure_shape(tf.cast(tf.round(mixed), tf.uint8), image.shape)


def _checked(image: tf.Tensor) -> tf.Tensor:
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8 or image.shape.rank not in (None, 2):
        raise SemenetError(
            "An image must be uint8 of shape (height, width). "
            f"Received: {image.dtype.name} of shape {image.shape}. Cast it, or take one channel with "
            "image[..., 0]."
        )
    return image


def _as_int32(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(_checked(image), tf.int32)


def _resize_linear(grey: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Interpolates between the two nearest pixels, as OpenCV does, with one rounding at the end."""
    across = tf.transpose(_interpolate_rows(tf.transpose(grey), size[1]))
    both = _interpolate_rows(across, size[0])
    return tf.bitwise.right_shift(both + 2 ** (2 * _LINEAR_BITS - 1), 2 * _LINEAR_BITS)


def _interpolate_rows(values: tf.Tensor, new: int) -> tf.Tensor:
    """Returns `new` weighted sums of two neighbouring rows each, with `_LINEAR_BITS` more fractional bits."""
    old = tf.shape(values)[0]
    scale = 1 / (tf.cast(new, tf.float64) / tf.cast(old, tf.float64))
    place = scale * (tf.range(new, dtype=tf.float64) + 0.5) - 0.5
    before = tf.floor(place)
    after_weight = tf.cast(tf.round((place - before) * 2**_LINEAR_BITS), tf.int32)[:, tf.newaxis]
    row = tf.cast(before, tf.int32)
    # The first and last row are repeated beyond the border.
    first, second = (tf.gather(values, tf.clip_by_value(row + step, 0, old - 1)) for step in (0, 1))
    return first * (2**_LINEAR_BITS - after_weight) + second * after_weight


def _resize_triangle(grey: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Resizes with a triangle filter that widens as the image shrinks, as Pillow does."""
    across = tf.transpose(_filter_rows(tf.transpose(grey), size[1]))
    return _filter_rows(across, size[0])


def _filter_rows(grey: tf.Tensor, new: int) -> tf.Tensor:
    """Returns `new` rows, each a weighted sum of neighbouring rows, in integers."""
    old = tf.shape(grey)[0]
    scale = tf.cast(old, tf.float64) / tf.cast(new, tf.float64)
    support = tf.maximum(scale, 1)
    centre = (tf.range(new, dtype=tf.float64) + 0.5) * scale
    # Casts to integers truncate towards zero, as in C; negative values become the first row.
    first = tf.maximum(tf.cast(centre - support + 0.5, tf.int32), 0)
    beyond = tf.minimum(tf.cast(centre + support + 0.5, tf.int32), old)
    taps = tf.reduce_max(beyond - first)
    row = first[:, tf.newaxis] + tf.range(taps)
    distance = (tf.cast(row, tf.float64) - centre[:, tf.newaxis] + 0.5) * (1 / support)
    weights = tf.where(row < beyond[:, tf.newaxis], tf.maximum(1 - tf.abs(distance), 0), 0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    weights = tf.cast(weights * 2**_TRIANGLE_BITS + 0.5, tf.int32)
    row = tf.minimum(row, old - 1)

    def add_tap(tap: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tap + 1, total + tf.gather(grey, row[:, tap]) * weights[:, tap, tf.newaxis]

    half = tf.fill((tf.size(centre), tf.shape(grey)[1]), 2 ** (_TRIANGLE_BITS - 1))
    total = tf.while_loop(
        lambda tap, _: tap < taps,
        add_tap,
        (0, half),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None))),
    )[1]
    return tf.minimum(tf.bitwise.right_shift(total, _TRIANGLE_BITS), _GREY_LEVELS - 1)


def _reflected(length: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns the indices of `length` pixels; those from `size` on are mirrored at the last pixel."""
    period = tf.maximum(2 * size - 2, 1)
    index = tf.range(length) % period
    return tf.minimum(index, period - index)


def _clipped_tables(
    padded: tf.Tensor,
    tile_height: tf.Tensor,
    tile_width: tf.Tensor,
    down: int,
    across: int,
    clip_limit: float,
) -> tf.Tensor:
    """Returns each tile's table of grey levels: int32 (down * across * 256), values in [0, 255]."""
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


def _neighbours(size: tf.Tensor, tile: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the tiles before and after each pixel's position, and the weight of the one after."""
    position = tf.range(size, dtype=tf.int32)
    place = tf.cast(position, tf.float32) * (1 / tf.cast(tile, tf.float32)) - 0.5
    before = tf.floor(place)
    index = tf.cast(before, tf.int32)
    return tf.maximum(index, 0), tf.minimum(index + 1, count - 1), place - before
