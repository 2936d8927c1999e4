"""Checks whether a segmentation mask can show two lungs: its area, its pieces and their position."""

import tensorflow as tf

# Measured on 1,144 hand-drawn masks of frontal radiographs: area 0.09 to 0.63, always two pieces, share of
# the left half 0.35 to 0.65, centre at 0.24 to 0.66 of the height. The limits leave a margin around these.

# Share of the image that the mask covers.
AREA = (0.07, 0.70)
# Share of the mask that lies in the left half of the image.
HALF = (0.20, 0.80)
# Vertical position of the mask's centre of mass: 0 at the top of the image, 1 at the bottom.
CENTRE = (0.20, 0.70)
# Number of connected pieces. A piece smaller than LEAST_PIECE of the mask's area is not counted.
PIECES = 2
LEAST_PIECE = 0.1
CHECKS = ("area", "count", "position")
_SIDE = 64
# Upper limit of the cells on the longest path through one piece of a mask.
_MAX_STEPS = 4 * _SIDE


def failed_lung_checks(masks: tf.Tensor) -> tf.Tensor:
    """Returns which checks each mask of both lungs fails. A graph operation.

    A mask is reduced to 64 x 64 cells first. It fails

    - "area" if its share of the image is outside `AREA`;
    - "count" if it does not have exactly `PIECES` pieces, see `count_pieces`;
    - "position" if the share of the mask in the left half of the image is outside `HALF`, or the vertical
      centre of the mask is outside `CENTRE`.

    Args:
        masks: bool `(N, H, W)`, true inside the lungs.

    Returns:
        bool tensor `(N, 3)`, true for each check of `CHECKS` that the mask fails.

    Example:
        >>> mask = np.zeros((1, 64, 64), bool)
        >>> mask[:, 16:48, 8:28] = True
        >>> semenet.inference.failed_lung_checks(mask).numpy()
        array([[False,  True,  True]])
        >>> mask[:, 16:48, 36:56] = True
        >>> semenet.inference.failed_lung_checks(mask).numpy()
        array([[False, False, False]])
    """
    cells = tf.cast(_reduced(masks), tf.float32)
    area = tf.reduce_mean(cells, axis=(1, 2))
    total = tf.reduce_sum(cells, axis=(1, 2))
    left_share = tf.math.divide_no_nan(tf.reduce_sum(cells[:, :, : _SIDE // 2], axis=(1, 2)), total)
    rows = (tf.range(_SIDE, dtype=tf.float32)[:, tf.newaxis] + 0.5) / _SIDE
    centre = tf.math.divide_no_nan(tf.reduce_sum(cells * rows, axis=(1, 2)), total)
    return tf.stack(
        [
            _outside(area, AREA),
            count_pieces(cells > 0) != PIECES,
            _outside(left_share, HALF) | _outside(centre, CENTRE),
        ],
        axis=1,
    )


def count_pieces(masks: tf.Tensor) -> tf.Tensor:
    """Counts the 8-connected pieces that cover at least `LEAST_PIECE` of their mask.

    Args:
        masks: bool `(N, H, W)`, about 64 x 64 cells each.

    Returns:
        int32 tensor `(N,)`.
    """
    inside = tf.cast(masks, tf.float32)[..., tf.newaxis]
    _, height, width, _ = tf.unstack(tf.shape(inside))
    cells = height * width
    numbers = tf.reshape(tf.range(1, cells + 1), (1, height, width, 1))

    def spread(step: tf.Tensor, labels: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        wider = tf.nn.max_pool2d(labels, 3, 1, "SAME") * inside
        return step + 1, wider, tf.reduce_any(wider != labels)

    # The highest cell number of each piece spreads to all of its cells.
    _, labels, _ = tf.while_loop(
        lambda step, _, moved: moved & (step < _MAX_STEPS),
        spread,
        (0, inside * tf.cast(numbers, tf.float32), True),
    )
    labels = tf.reshape(tf.cast(labels, tf.int32), (-1, cells))
    areas = tf.math.bincount(labels, minlength=cells + 1, maxlength=cells + 1, axis=-1)[:, 1:]
    least = LEAST_PIECE * tf.cast(tf.reduce_sum(areas, axis=1, keepdims=True), tf.float32)
    large = (areas > 0) & (tf.cast(areas, tf.float32) >= least)
    return tf.reduce_sum(tf.cast(large, tf.int32), axis=1)


def _reduced(masks: tf.Tensor) -> tf.Tensor:
    """Reduces every mask to `_SIDE` x `_SIDE` cells, each with the value of the pixel at its centre."""
    for axis in (1, 2):
        length = tf.shape(masks)[axis]
        masks = tf.gather(masks, (2 * tf.range(_SIDE) + 1) * length // (2 * _SIDE), axis=axis)
    return masks


def _outside(values: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    return (values < limits[0]) | (values > limits[1])
