"""Checks images in memory."""

import numpy as np
import numpy.typing as npt

from semenet.data.images.pixel_range import check_range
from semenet.errors import SemenetError


def grey_levels(image: npt.ArrayLike, name: str) -> np.ndarray:
    """Checks an image in memory and rounds it to grey levels.

    Args:
        image: `(H, W)`, uint8 or float in [0, 255].
        name: the name of the image in errors and warnings.

    Returns:
        uint8 `(H, W)`. Values outside [0, 255] are clipped, with a warning.

    Raises:
        SemenetError: the image is not a finite array with two axes, or has no pixel.

    Warns:
        PixelRangeWarning: as for `semenet.data.images.pixel_range.check_range`.
    """
    image = np.asarray(image)
    if image.ndim != 2 or not image.size or image.dtype.kind not in "uifb" or not np.isfinite(image).all():
        raise SemenetError(
            "An image must be a finite array (height, width) of grey values in [0, 255]. "
            f"Received: {name} of shape {image.shape}. Convert colour to grey, replace NaN."
        )
    check_range(image, name)
    return np.clip(np.rint(image), 0, 255).astype("uint8")
