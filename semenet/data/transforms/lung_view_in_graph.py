"""The lungs' box and standard grey levels as TensorFlow operations, by the specification in `lung_view`.

Each function computes the same pixels as its namesake in `lung_view_on_host`, bit for bit.
"""

from collections.abc import Sequence

import tensorflow as tf

from semenet.data.transforms import in_graph as graph_transforms
from semenet.data.transforms.lung_plausibility import SIDE
from semenet.data.transforms.lung_view import HIGH_LEVEL, HIGH_PERCENT, LOW_LEVEL, LOW_PERCENT, LungView


def view_lungs(
    image: tf.Tensor,
    mask: tf.Tensor,
    usable: tf.Tensor,
    cells: tf.Tensor,
    size: Sequence[int],
    view: LungView,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Cuts an image to its lungs, resizes it and standardises its grey levels, as far as a view does so.

    Args:
        image: uint8 (height, width), values in [0, 255].
        mask: bool (height, width), true inside the lungs.
        usable: bool scalar, whether the mask passed all checks.
        cells: bool (64, 64), the cells of the lungs without specks.
        size: (height, width) of the network's input, in pixels: two int.
        view: what to do.

    Returns:
        The image, uint8 of shape `size`; the mask, uint8 of shape `size` in {0, 1}; and the box, int32 (4,):
        top, left, bottom and right.
    """
    inside = tf.cast(mask, tf.uint8)
    box = tf.stack([0, 0, *tf.unstack(tf.shape(mask))])
    if view.box:
        box = tf.where(usable, lung_box(mask, cells, view.margin_thousandths), box)
        top, left, bottom, right = tf.unstack(box)
        image, inside = image[top:bottom, left:right], inside[top:bottom, left:right]
    resized = tf.ensure_shape(graph_transforms.resize(image, size), size)
    inside = tf.ensure_shape(graph_transforms.resize_mask(inside, size), size)
    inside = tf.where(usable, inside, tf.ones_like(inside))
    if view.standardize:
        resized = standardize(resized, inside)
    return resized, inside, box


def lung_box(mask: tf.Tensor, cells: tf.Tensor, margin_thousandths: int) -> tf.Tensor:
    """Finds the box of the lungs, as `lung_view_on_host.lung_box` does.

    Args:
        mask: bool (height, width), true inside the lungs.
        cells: bool (64, 64), the cells of the lungs without specks.
        margin_thousandths: the margin on each side, in thousandths of the box's side.

    Returns:
        int32 (4,): top, left, bottom and right.
    """
    lengths = tf.unstack(tf.shape(mask))
    near = [_near_pixels(tf.reduce_any(cells, axis=1 - axis), length) for axis, length in enumerate(lengths)]
    part = mask[near[0][0] : near[0][1], near[1][0] : near[1][1]]
    limits = []
    for axis, length in enumerate(lengths):
        first, end = _bounds(tf.reduce_any(part, axis=1 - axis))
        margin = ((end - first) * margin_thousandths + 500) // 1000
        first, end = first + near[axis][0], end + near[axis][0]
        limits.append((tf.maximum(first - margin, 0), tf.minimum(end + margin, length)))
    (top, bottom), (left, right) = limits
    whole = tf.stack([0, 0, *lengths])
    return tf.where(tf.reduce_any(part), tf.stack([top, left, bottom, right]), whole)


def standardize(image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Stretches grey levels so that two percentiles inside a mask reach fixed levels.

    Args:
        image: uint8 (height, width), values in [0, 255].
        mask: uint8 (height, width), 1 inside. If it is 0 everywhere, all pixels count.

    Returns:
        A uint8 tensor of the image's shape; the same values where the two percentiles are equal.
    """
    grey = tf.cast(image, tf.int32)
    is_inside = (mask != 0) | ~tf.reduce_any(mask != 0)
    inside = tf.boolean_mask(grey, is_inside)
    counts = tf.cumsum(tf.cast(tf.math.bincount(inside, minlength=256, maxlength=256), tf.int64))
    low, high = (
        tf.reduce_sum(tf.cast(100 * counts < percent * counts[-1], tf.int32))
        for percent in (LOW_PERCENT, HIGH_PERCENT)
    )
    width = tf.maximum(high - low, 1)
    levels = LOW_LEVEL + (2 * (HIGH_LEVEL - LOW_LEVEL) * (tf.range(256) - low) + width) // (2 * width)
    table = tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)
    return tf.where(low == high, image, tf.gather(table, grey))


def _near_pixels(is_used: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixels from one cell before the first used cell to one cell behind the last one."""
    first, end = _bounds(is_used)
    start = tf.maximum(first - 1, 0) * length // SIDE
    stop = -(-tf.minimum(end + 1, SIDE) * length // SIDE)
    return start, tf.where(tf.reduce_any(is_used), stop, length)


def _bounds(is_used: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first true position and the one after the last; 0 and the length if there is none."""
    values = tf.cast(is_used, tf.int32)
    first = tf.argmax(values, output_type=tf.int32)
    return first, tf.size(values) - tf.argmax(values[::-1], output_type=tf.int32)
