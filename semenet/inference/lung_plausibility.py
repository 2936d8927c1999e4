"""Whether a mask of lungs can be one: their area, how many they are, and where they lie."""

import tensorflow as tf

# Measured on 1,144 masks that people drew of frontal radiographs: area 0.09 to 0.63, two pieces each, the
# left half's share 0.35 to 0.65, the centre at 0.24 to 0.66 of the height. The limits leave room beside that.
AREA = (0.07, 0.70)
HALF = (0.20, 0.80)
CENTRE = (0.20, 0.70)
PIECES = 2
LEAST_PIECE = 0.1  # of the mask's area: smaller pieces do not count
CHECKS = ("area", "count", "position")
_SIDE = 64
# No lung winds its way through more cells than this.
_MOST_STEPS = 4 * _SIDE


def failed_checks(masks):
    """Tells which checks a mask of both lungs fails. A graph operation.

    Args:
        masks: bool tensor `(N, H, W)`, true inside the lungs.

    Returns:
        bool tensor `(N, 3)`, true where the check of `CHECKS` fails: the mask's share of the image lies
        outside `AREA`; there are not two pieces that are each a tenth of the mask; the left half of the
        image has a share of the mask outside `HALF`, or the mask's centre lies, from top to bottom, outside
        `CENTRE`.
    """
    small = tf.cast(_shrunk(masks), tf.float32)
    area = tf.reduce_mean(small, axis=(1, 2))
    total = tf.reduce_sum(small, axis=(1, 2))
    half = tf.math.divide_no_nan(tf.reduce_sum(small[:, :, : _SIDE // 2], axis=(1, 2)), total)
    rows = (tf.range(_SIDE, dtype=tf.float32)[:, tf.newaxis] + 0.5) / _SIDE
    centre = tf.math.divide_no_nan(tf.reduce_sum(small * rows, axis=(1, 2)), total)
    return tf.stack(
        [
            _outside(area, AREA),
            count_pieces(small > 0) != PIECES,
            _outside(half, HALF) | _outside(centre, CENTRE),
        ],
        axis=1,
    )


def count_pieces(masks):
    """Counts the pieces, by eight neighbours, that are each `LEAST_PIECE` of the mask or more.

    Args:
        masks: bool tensor `(N, H, W)`, of some 64 x 64 cells.

    Returns:
        int32 tensor `(N,)`.
    """
    inside = tf.cast(masks, tf.float32)[..., tf.newaxis]
    _, height, width, _ = tf.unstack(tf.shape(inside))
    cells = height * width
    numbers = tf.reshape(tf.range(1, cells + 1), (1, height, width, 1))

    def spread(step, labels, _):
        wider = tf.nn.max_pool2d(labels, 3, 1, "SAME") * inside
        return step + 1, wider, tf.reduce_any(wider != labels)

    # Each piece takes the highest number of its cells.
    _, labels, _ = tf.while_loop(
        lambda step, _, moved: moved & (step < _MOST_STEPS),
        spread,
        (0, inside * tf.cast(numbers, tf.float32), True),
    )
    labels = tf.reshape(tf.cast(labels, tf.int32), (-1, cells))
    areas = tf.math.bincount(labels, minlength=cells + 1, maxlength=cells + 1, axis=-1)[:, 1:]
    least = LEAST_PIECE * tf.cast(tf.reduce_sum(areas, axis=1, keepdims=True), tf.float32)
    large = (areas > 0) & (tf.cast(areas, tf.float32) >= least)
    return tf.reduce_sum(tf.cast(large, tf.int32), axis=1)


def _shrunk(masks):
    """Every mask at `_SIDE` x `_SIDE`, by the pixel in the middle of each cell."""
    for axis in (1, 2):
        length = tf.shape(masks)[axis]
        masks = tf.gather(masks, (2 * tf.range(_SIDE) + 1) * length // (2 * _SIDE), axis=axis)
    return masks


def _outside(values, limits):
    return (values < limits[0]) | (values > limits[1])
