"""Checks whether a segmentation mask can show two lungs: its area, its pieces and their position."""

import tensorflow as tf

from semenet.data.transforms.lung_plausibility import AREA, CENTRE, CHECKS, HALF, LEAST_PIECE, PIECES
from semenet.data.transforms.lung_plausibility import SIDE as _SIDE

__all__ = ["CHECKS", "count_pieces", "failed_lung_checks", "lung_cells"]

# No path through one piece of a mask is longer.
_MAX_STEPS = _SIDE * _SIDE


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


def lung_cells(masks: tf.Tensor) -> tf.Tensor:
    """Returns the cells of the pieces that are counted, of masks reduced to 64 x 64 cells: without specks.

    Args:
        masks: bool `(N, H, W)`, true inside the lungs.

    Returns:
        bool tensor `(N, 64, 64)`.
    """
    cells = _reduced(masks)
    labels, is_counted = _pieces(cells)
    counted = tf.gather(is_counted, tf.maximum(labels - 1, 0), axis=1, batch_dims=1)
    return cells & tf.reshape(counted, tf.shape(cells))


def count_pieces(masks: tf.Tensor) -> tf.Tensor:
    """Counts the 8-connected pieces that cover at least `LEAST_PIECE` of their mask.

    Args:
        masks: bool `(N, H, W)`, about 64 x 64 cells each.

    Returns:
        int32 tensor `(N,)`.
    """
    return tf.reduce_sum(tf.cast(_pieces(masks)[1], tf.int32), axis=1)


def _pieces(masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns each cell's label, int32 `(N, H * W)`, 0 outside, and whether each label from 1 on counts."""
    inside = tf.cast(masks, tf.float32)
    _, height, width = tf.unstack(tf.shape(inside))
    cells = height * width
    numbers = tf.reshape(tf.range(1, cells + 1), (1, height, width))

    def spread(step: tf.Tensor, labels: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # The highest of 3 x 3. As max pooling of one channel, this takes several times as long.
        around = tf.pad(labels, ((0, 0), (1, 1), (1, 1)))
        around = tf.maximum(tf.maximum(around[:, :, :-2], around[:, :, 1:-1]), around[:, :, 2:])
        wider = tf.maximum(tf.maximum(around[:, :-2], around[:, 1:-1]), around[:, 2:]) * inside
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
    return labels, (areas > 0) & (tf.cast(areas, tf.float32) >= least)


def _reduced(masks: tf.Tensor) -> tf.Tensor:
    """Reduces every mask to `_SIDE` x `_SIDE` cells, each with the value of the pixel at its centre."""
    for axis in (1, 2):
        length = tf.shape(masks)[axis]
        masks = tf.gather(masks, (2 * tf.range(_SIDE) + 1) * length // (2 * _SIDE), axis=axis)
    return masks


def _outside(values: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    return (values < limits[0]) | (values > limits[1])
