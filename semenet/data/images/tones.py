"""Converts colours to grey and 16 bits to 8, in whole numbers: one rule for every format."""

import numpy as np

# libpng's weights of red, green and blue (ITU-R BT.601), in units of 1 / 2**GREY_SHIFT.
GREY_WEIGHTS = (9797, 19234, 3737)
GREY_SHIFT = 15


def grey_of_colours(colours: np.ndarray) -> np.ndarray:
    """Mixes colours to grey as libpng does (ITU-R BT.601): `(9797 R + 19234 G + 3737 B) >> 15`.

    Args:
        colours: uint8 or uint16 `(height, width, 3)`: red, green, blue.

    Returns:
        Grey `(height, width)` of the same dtype and range. Equal colours stay as they are.
    """
    red, green, blue = (
        weight * colours[..., channel].astype(np.uint32) for channel, weight in enumerate(GREY_WEIGHTS)
    )
    return ((red + green + blue) >> GREY_SHIFT).astype(colours.dtype)


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Maps 16-bit values by their stored range: [0, 65535] to [0, 255], the nearest grey level.

    Args:
        values: uint16 or uint8 array; uint8 stays as it is.

    Returns:
        uint8 array of the same shape.
    """
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
