"""The rule for whether a segmentation mask can show two lungs, on the host.

`semenet.inference.lung_plausibility` computes the same with TensorFlow operations.
"""

import cv2
import numpy as np

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
# A mask is reduced to this many cells across and down.
SIDE = 64


def check_lungs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checks a mask of both lungs as `semenet.inference.failed_lung_checks` does, to the bit.

    Args:
        mask: `(height, width)`, not 0 inside the lungs.

    Returns:
        bool (3,), true for each check of `CHECKS` that the mask fails; and bool (64, 64), the cells of the
        pieces that are counted.
    """
    cells = _reduced(mask)
    total = np.count_nonzero(cells)
    # In float32, as in the graph. Counts and their sums are exact in it.
    divisor = np.float32(max(total, 1))
    rows = np.flatnonzero(cells) // SIDE
    left = np.float32(np.count_nonzero(cells[:, : SIDE // 2])) / divisor
    centre = np.float32((2 * rows + 1).sum() / (2 * SIDE)) / divisor
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cells.astype(np.uint8), connectivity=8)
    least = np.float32(LEAST_PIECE) * np.float32(total)
    is_counted = stats[:, cv2.CC_STAT_AREA].astype(np.float32) >= least
    is_counted[0] = False
    failed = (
        _outside(np.float32(total) / np.float32(SIDE * SIDE), AREA),
        np.count_nonzero(is_counted) != PIECES,
        _outside(left, HALF) or _outside(centre, CENTRE),
    )
    return np.array(failed), is_counted[labels]


def _reduced(mask: np.ndarray) -> np.ndarray:
    """Reduces a mask to `SIDE` x `SIDE` cells, each with the value of the pixel at its centre."""
    rows, columns = ((2 * np.arange(SIDE) + 1) * length // (2 * SIDE) for length in mask.shape)
    return mask[rows].take(columns, axis=1) != 0


def _outside(value: np.float32, limits: tuple[float, float]) -> bool:
    return bool(value < np.float32(limits[0]) or value > np.float32(limits[1]))
