"""Converts colours to grey and 16 bits to 8, in whole numbers: one rule for every format."""

from collections.abc import Callable

import numpy as np

# libpng's weights of red, green and blue (ITU-R BT.601), in units of 1 / 2**GREY_SHIFT.
GREY_WEIGHTS = (9797, 19234, 3737)
GREY_SHIFT = 15
_AT_ONCE = 1 << 20


def grey_of_colours(colours: np.ndarray) -> np.ndarray:
    """Mixes colours to grey as libpng does (ITU-R BT.601): `(9797 R + 19234 G + 3737 B) >> 15`.

    Args:
        colours: uint8 or uint16 `(height, width, 3)`: red, green, blue.

    Returns:
        Grey `(height, width)` of the same dtype and range. Equal colours stay as they are.
    """

    def mixed(part: np.ndarray) -> np.ndarray:
        red, green, blue = (
            weight * part[..., channel].astype(np.uint32) for channel, weight in enumerate(GREY_WEIGHTS)
        )
        return (red + green + blue) >> GREY_SHIFT

    return _by_rows(mixed, colours, colours.dtype)


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Maps 16-bit values by their stored range: [0, 65535] to [0, 255], the nearest grey level.

    Args:
        values: uint16 or uint8 `(height, width)`; uint8 stays as it is.

    Returns:
        uint8 array of the same shape.
    """
    if values.dtype == np.uint8:
        return values
    return _by_rows(lambda part: (part.astype(np.uint32) + 128) // 257, values, np.dtype(np.uint8))


def _by_rows(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Applies a function to some rows at a time, so that its wider integers take little memory."""
    result = np.empty(values.shape[:2], dtype)
    step = max(_AT_ONCE // max(values.shape[1], 1), 1)
    for start in range(0, len(values), step):
        result[start : start + step] = function(values[start : start + step])
    return result
