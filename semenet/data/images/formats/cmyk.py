"""Decodes JPEGs of four inks (CMYK and YCCK) to red, green and blue, mixed as TensorFlow mixes them."""

import io

import numpy as np

from semenet.data.images.errors import damaged_image
from semenet.data.images.formats.jpeg_completeness import with_surplus


def decode_cmyk(contents: bytes, name: str) -> np.ndarray:
    """Decodes a JPEG of four channels.

    Adobe's programs store such inks inverted, and mark the file. Both kinds are mixed as TensorFlow's
    `decode_jpeg` does, `ink * black // 255`, without a colour profile, so that the TensorFlow graph computes
    the same pixels.

    Args:
        contents: the bytes of a JPEG whose frame header declares four channels.
        name: the file's name in error messages.

    Returns:
        uint8 `(height, width, 3)`: red, green, blue.

    Raises:
        ImageError: the data are damaged, or end before the image is complete.
    """
    colours = _mixed_colours(contents, name)
    if not np.array_equal(colours, _mixed_colours(with_surplus(contents), name)):
        raise damaged_image(name, "a JPEG whose data end before the image is complete")
    return colours


def _mixed_colours(contents: bytes, name: str) -> np.ndarray:
    # The format's own class: Pillow's `open` warns of large images, and their size is checked already.
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        file = JpegImageFile(io.BytesIO(contents))
        inks = np.asarray(file)
    except (OSError, SyntaxError, ValueError, IndexError, KeyError) as error:
        raise damaged_image(name, f"a CMYK JPEG that cannot be decoded ({error})") from error
    if inks.ndim != 3 or inks.shape[2] != 4:
        raise damaged_image(name, "a CMYK JPEG that cannot be decoded")
    # Pillow returns ink where Adobe's marker declares that light is stored, else light.
    light = inks.astype(np.uint16)
    if "adobe_transform" in file.info:
        light = 255 - light
    return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
