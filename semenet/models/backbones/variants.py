"""Sizes of the small variants of a network: `width` scales channels, `depth` scales layers."""

import math
import numbers

from semenet.errors import SemenetError


def scaled_channels(full: int, width: float) -> int:
    """Returns the number of channels at a width: `full * width`, rounded to a multiple of 8, at least 8.

    Args:
        full: number of channels of the full-size network.
        width: scale above 0.

    Returns:
        int; `full` itself for `width=1`.

    Raises:
        SemenetError: `width` is not positive.
    """
    _check_positive("width", width)
    return full if width == 1 else max(8, 8 * round(full * width / 8))


def scaled_repeats(full: int, depth: float) -> int:
    """Returns the number of layers in a stage at a depth: `full * depth` rounded up, at least 1.

    Args:
        full: number of layers of the full-size network.
        depth: scale above 0.

    Raises:
        SemenetError: `depth` is not positive.
    """
    _check_positive("depth", depth)
    return max(1, math.ceil(full * depth))


def _check_positive(argument: str, value: float) -> None:
    if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise SemenetError(
            f"`{argument}` scales the network and must be a positive number; 1 is the full size. "
            f"Received: {value!r}. Use for example 0.25 for a quick trial."
        )
