"""How the small variants of a network are cut: `width` scales channels, `depth` scales layers."""

import math
import numbers

from semenet.errors import SemenetError


def channels(full, width):
    """Number of channels at a width: `full * width` to the nearest multiple of 8, at least 8.

    Args:
        full: int, the channels of the full-size network.
        width: float > 0.

    Returns:
        int; `full` itself for `width=1`.

    Raises:
        ValueError: if `width` is not positive.
    """
    _check_positive("width", width)
    return full if width == 1 else max(8, 8 * round(full * width / 8))


def repeats(full, depth):
    """Number of layers in a stage at a depth: `full * depth` rounded up, at least 1.

    Raises:
        ValueError: if `depth` is not positive.
    """
    _check_positive("depth", depth)
    return max(1, math.ceil(full * depth))


def _check_positive(argument, value):
    if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise SemenetError(
            f"`{argument}` scales the network and must be a positive number, 1 being the full size. "
            f"Received: {value!r}. Use for example 0.25 for a quick trial."
        )
