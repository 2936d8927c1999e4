"""What a decoder returns, the largest image it decodes, and orientations."""

from typing import NamedTuple

import numpy as np

from semenet.data.images.errors import ImageError

# Radiographs have at most about 20 million pixels. Five times as many are a mistake or an attack.
MAX_PIXELS = 100_000_000
# JPEG and DICOM cannot have more. A PNG of 2 kB can: a million rows of one pixel take seconds to resize.
MAX_SIDE = 65_535

# The orientations (TIFF 6.0, tag 274) that need each step to become upright. The steps follow in this order.
TRANSPOSED = (5, 6, 7, 8)
MIRRORED_COLUMNS = (2, 3, 6, 7)
MIRRORED_ROWS = (3, 4, 7, 8)


class ValueRange(NamedTuple):
    """The lowest and the highest value in an image, and how many different values its bits can hold."""

    lowest: int
    highest: int
    storable: int


class DecodedImage(NamedTuple):
    """The pixels of a file as its decoder returns them.

    Attributes:
        image: uint8 or uint16 `(height, width)`, grey, 0 is black, before `orientation` is applied.
        orientation: 1 (upright) to 8, as in TIFF and EXIF.
        notes: messages about a header that contradicts the image, or that was used otherwise than it stands.
    """

    image: np.ndarray
    orientation: int = 1
    notes: tuple[str, ...] = ()


def upright(decoded: DecodedImage) -> np.ndarray:
    """Applies the orientation.

    Args:
        decoded: a decoder's result.

    Returns:
        A contiguous array of the image's dtype, `(height, width)`, or `(width, height)` where the orientation
        transposes the image.
    """
    image = decoded.image
    if decoded.orientation in TRANSPOSED:
        image = image.T
    if decoded.orientation in MIRRORED_COLUMNS:
        image = image[:, ::-1]
    if decoded.orientation in MIRRORED_ROWS:
        image = image[::-1]
    return np.ascontiguousarray(image)


def check_pixel_count(height: int, width: int, name: str, max_pixels: int) -> None:
    """Checks a declared size, before any pixel is decoded.

    Args:
        height: the height in the file's header, in pixels.
        width: the width in the file's header, in pixels.
        name: the file's name in error messages.
        max_pixels: the largest height x width to accept.

    Raises:
        ImageError: the image has no pixel, more than `max_pixels`, or more than `MAX_SIDE` rows or columns.
    """
    if max(height, width) > MAX_SIDE and 0 < height * width <= max_pixels:
        raise ImageError(
            f"An image must have at most {MAX_SIDE:,} rows and columns. Received: {name}, whose header "
            f"declares {height:,} x {width:,}. Check the file's origin."
        )
    if not 0 < height * width <= max_pixels:
        raise ImageError(
            f"An image must have 1 to {max_pixels:,} pixels. Received: {name}, whose header declares "
            f"{height:,} x {width:,}. Check the file's origin, make the image smaller, or, in Python, raise "
            "`max_pixels`."
        )
