"""Checks images in memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from semenet.data.images.pixel_range import check_range
from semenet.errors import SemenetError


def as_images(images: Any) -> Iterable[Any]:
    """Returns one image or several as an iterable of images.

    An array with two axes, or with three of which the last is 1 as Keras' channels, is one image: a
    radiograph has more than one column.

    Args:
        images: an array `(H, W)` or `(H, W, 1)`; or N images, `(N, H, W)`, `(N, H, W, 1)` or any iterable.

    Returns:
        The images; a list of one for one image.

    Raises:
        SemenetError: the array is one colour image, `(H, W, 3)` or `(H, W, 4)`.

    Example:
        >>> from semenet.inference.array_images import as_images
        >>> [len(list(as_images(np.zeros(shape)))) for shape in [(64, 48), (64, 48, 1), (5, 64, 48, 1)]]
        [1, 1, 5]
    """
    shape = getattr(images, "shape", ())
    if len(shape) == 3 and shape[-1] in (3, 4):
        raise SemenetError(
            "An image must be an array (height, width) of grey values, and several are (N, height, width). "
            f"Received: shape {tuple(shape)}, which looks like one image with colours. Convert it to grey."
        )
    is_one = len(shape) == 2 or (len(shape) == 3 and shape[-1] == 1)
    return [images] if is_one else images


def grey_levels(image: npt.ArrayLike, name: str) -> np.ndarray:
    """Checks an image in memory and rounds it to grey levels.

    Args:
        image: `(H, W)` or `(H, W, 1)`, uint8 or float in [0, 255].
        name: the name of the image in errors and warnings.

    Returns:
        uint8 `(H, W)`. Values outside [0, 255] are clipped, with a warning.

    Raises:
        SemenetError: the image is not a finite array with two axes, or has no pixel.

    Warns:
        PixelRangeWarning: as for `semenet.data.images.pixel_range.check_range`.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2 or not image.size or image.dtype.kind not in "uifb" or not np.isfinite(image).all():
        raise SemenetError(
            "An image must be a finite array (height, width) of grey values in [0, 255]. "
            f"Received: {name} of shape {image.shape}. Convert colour to grey, replace NaN."
        )
    check_range(image, name)
    return np.clip(np.rint(image), 0, 255).astype("uint8")
