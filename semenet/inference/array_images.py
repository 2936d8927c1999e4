"""Images that are in memory, as the networks' preparation takes them."""

import numpy as np

from semenet.data.images.reading import check_range
from semenet.errors import SemenetError


def grey_levels(image, name):
    """Checks an image in memory and rounds it to grey levels.

    Args:
        image: `(H, W)`, uint8 or float in [0, 255].
        name: str, what an error or a warning calls it.

    Returns:
        uint8 `(H, W)`; values outside [0, 255] are clipped, with a warning.

    Raises:
        ValueError: it is no finite array of two axes, or has no pixel.

    Warns:
        PixelRangeWarning: as `semenet.data.images.reading.check_range`.
    """
    image = np.asarray(image)
    if image.ndim != 2 or not image.size or not np.isfinite(image).all():
        raise SemenetError(
            "An image must be a finite array (height, width) of grey values in [0, 255]. "
            f"Received: {name} of shape {image.shape}. Convert colour to grey, replace NaN."
        )
    check_range(image, name)
    return np.clip(np.rint(image), 0, 255).astype("uint8")
