"""Warnings about pixel values that do not use the range [0, 255]."""

import threading
import warnings

import numpy as np

from semenet.data.images.decoded_image import ValueRange
from semenet.data.images.errors import PixelRangeWarning

_warning_lock = threading.Lock()
_has_warned = False


def check_range(values: np.ndarray, name: str) -> None:
    """Warns, once per process, when pixel values do not span [0, 255] as every network expects.

    Images scaled to [0, 1], or normalised to a mean of 0, are the most common mistake: the networks contain
    their own scaling. An image of zeros only is black, not scaled.

    Args:
        values: pixel values of any shape and dtype.
        name: the image's name in the warning.

    Warns:
        PixelRangeWarning: a value is NaN or outside [0, 255], or all values are within [0, 1].

    Example:
        >>> from semenet.data.images import check_range
        >>> check_range(np.full((8, 8), 127.0), "scan.png")  # no warning
    """
    values = np.asarray(values)
    if _has_warned or not values.size:
        return
    # Every image that is read passes here. A uint8 cannot leave the range, and one row with a value above 1
    # shows that the image was not scaled to [0, 1].
    if values.dtype == np.uint8 and values.ndim and values[len(values) // 2].max() > 1:
        return
    low, high = values.min(), values.max()
    # NaN compares false with everything. This form of the condition counts it as outside.
    is_inside = low >= 0 and high <= 255
    if not is_inside or not (high > 1 or high == 0):
        _warn_once(
            f"Pixel values must span [0, 255]: the networks scale them. Received: {name} with values from "
            f"{low:.6g} to {high:.6g}. Pass grey values that are not rescaled."
        )


def check_used_range(value_range: ValueRange, name: str) -> None:
    """Warns of values that use less than a sixteenth of what their bits can hold.

    A common case is 12 bits stored in 16. An image of one single value is blank, not badly scaled.

    Args:
        value_range: the range of the stored values.
        name: the image's name in the warning.

    Warns:
        PixelRangeWarning: the range is too small, so that the image is almost uniformly grey.
    """
    lowest, highest, storable = value_range
    if highest > lowest and (highest - lowest) < storable // 16:
        warnings.warn(
            "Pixel values must use the range that their bits can hold. "
            f"Received: {name} with values from {lowest} to {highest} of {storable:,} storable values, which "
            "is almost uniformly grey. Save it with its values scaled up.",
            PixelRangeWarning,
            stacklevel=3,
        )


def _warn_once(message: str) -> None:
    global _has_warned
    with _warning_lock:
        if _has_warned:
            return
        _has_warned = True
    warnings.warn(
        f"{message} (This is shown once; other images may be affected.)", PixelRangeWarning, stacklevel=3
    )
