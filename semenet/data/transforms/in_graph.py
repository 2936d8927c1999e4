"""Resize, equalisation and CLAHE in TensorFlow operations alone, for graphs that stand without OpenCV.

Same pixels as `host_transforms`, bit for bit, which `semenet.data.transforms.eager` relies on: it checks
what comes in, and says what each function does. Every function takes and gives int32 tensors of
shape (height, width), values in [0, 255], whose sizes may be unknown until the graph runs.
"""

import tensorflow as tf

_GREY_LEVELS = 256
# Weights are integers of so many fractional bits: Pillow's (libImaging/Resample.c) and OpenCV's
# (INTER_LINEAR_EXACT, imgproc/src/resize.cpp).
_TRIANGLE_BITS = 22
_LINEAR_BITS = 8


def resize(grey, size):
    """`host_transforms.resize`."""
    old = tf.unstack(tf.shape(grey))
    much = tf.reduce_any([2 * before > 3 * after for before, after in zip(old, size, strict=True)])
    return tf.cond(much, lambda: _widening(grey, size), lambda: _linear(grey, size))


def resize_mask(mask, size):
    """`host_transforms.resize_mask`."""
    rows, columns = (
        (2 * tf.range(new) + 1) * old // (2 * new)
        for old, new in zip(tf.unstack(tf.shape(mask)), size, strict=True)
    )
    return tf.gather(tf.gather(mask, rows), columns, axis=1)


def equalize(grey):
    """`host_transforms.equalize`."""
    histogram = tf.math.bincount(tf.reshape(grey, [-1]), minlength=_GREY_LEVELS, maxlength=_GREY_LEVELS)
    lowest = tf.reduce_min(grey)
    others = tf.size(grey) - histogram[lowest]
    scale = tf.constant(_GREY_LEVELS - 1, tf.float32) / tf.cast(tf.maximum(others, 1), tf.float32)
    # The lowest grey level of the image becomes black; levels below it do not occur.
    counted = tf.cast(tf.cumsum(histogram) - histogram[lowest], tf.float32)
    table = tf.cast(tf.clip_by_value(tf.round(counted * scale), 0, 255), tf.int32)
    # An image of one grey level alone stays as it is.
    return tf.where(others == 0, grey, tf.gather(table, grey))


def clahe(grey, clip_limit, tiles):
    """`host_transforms.clahe`."""
    across, down = tiles
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
    return tf.cast(tf.round(mixed), tf.int32)


def _linear(grey, size):
    """Stretches between the two nearest pixels, as OpenCV does, with one rounding at the end."""
    across = tf.transpose(_linear_rows(tf.transpose(grey), size[1]))
    both = _linear_rows(across, size[0])
    return tf.bitwise.right_shift(both + 2 ** (2 * _LINEAR_BITS - 1), 2 * _LINEAR_BITS)


def _linear_rows(values, new):
    """Sums of two neighbouring rows each; the result has `_LINEAR_BITS` more fractional bits."""
    old = tf.shape(values)[0]
    scale = 1 / (tf.cast(new, tf.float64) / tf.cast(old, tf.float64))
    place = scale * (tf.range(new, dtype=tf.float64) + 0.5) - 0.5
    before = tf.floor(place)
    after_weight = tf.cast(tf.round((place - before) * 2**_LINEAR_BITS), tf.int32)[:, tf.newaxis]
    row = tf.cast(before, tf.int32)
    # Beyond the first and last row lies that row itself.
    first, second = (tf.gather(values, tf.clip_by_value(row + step, 0, old - 1)) for step in (0, 1))
    return first * (2**_LINEAR_BITS - after_weight) + second * after_weight


def _widening(grey, size):
    """Stretches with a triangle filter that widens as the image shrinks, as Pillow does."""
    across = tf.transpose(_widening_rows(tf.transpose(grey), size[1]))
    return _widening_rows(across, size[0])


def _widening_rows(grey, new):
    """Stretches to `new` rows: each is a weighted sum of neighbouring ones, in whole numbers."""
    old = tf.shape(grey)[0]
    scale = tf.cast(old, tf.float64) / tf.cast(new, tf.float64)
    support = tf.maximum(scale, 1)
    centre = (tf.range(new, dtype=tf.float64) + 0.5) * scale
    # Casts to integers cut towards zero, as C does; below zero both give the first row.
    first = tf.maximum(tf.cast(centre - support + 0.5, tf.int32), 0)
    beyond = tf.minimum(tf.cast(centre + support + 0.5, tf.int32), old)
    taps = tf.reduce_max(beyond - first)
    row = first[:, tf.newaxis] + tf.range(taps)
    distance = (tf.cast(row, tf.float64) - centre[:, tf.newaxis] + 0.5) * (1 / support)
    weights = tf.where(row < beyond[:, tf.newaxis], tf.maximum(1 - tf.abs(distance), 0), 0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    weights = tf.cast(weights * 2**_TRIANGLE_BITS + 0.5, tf.int32)
    row = tf.minimum(row, old - 1)

    def add_tap(tap, total):
        return tap + 1, total + tf.gather(grey, row[:, tap]) * weights[:, tap, tf.newaxis]

    half = tf.fill((tf.size(centre), tf.shape(grey)[1]), 2 ** (_TRIANGLE_BITS - 1))
    total = tf.while_loop(
        lambda tap, _: tap < taps,
        add_tap,
        (0, half),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None))),
    )[1]
    return tf.minimum(tf.bitwise.right_shift(total, _TRIANGLE_BITS), _GREY_LEVELS - 1)


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
