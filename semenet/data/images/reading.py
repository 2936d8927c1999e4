"""Reads radiographs as hospitals and public data sets have them, as uint8 grey images.

`read_image` reads PNG, JPEG, TIFF, BMP and DICOM on the host. `in_graph.decode_image` decodes PNG and JPEG
inside a TensorFlow graph, as the exported network does. Both follow one rule and return the same pixels, bit
for bit:

- Grey: a JPEG's stored luma (ITU-R BT.601), with the accurate integer inverse DCT. Colour and palette PNGs
  become `(9797 R + 19234 G + 3737 B) >> 15`, libpng's BT.601 (computed on linear light where the file
  declares a gamma, again as libpng does), and so do the colours of TIFF, BMP and DICOM. A CMYK JPEG is mixed
  to RGB first, see `formats.cmyk`. Transparency and colour profiles are ignored.
- Grey levels: 8-bit values are kept. 16-bit values v are mapped by their stored range, not by the image's
  own extremes: [0, 65535] to [0, 255] as `(v + 128) // 257`, the nearest grey level (there are no ties).
  DICOM: by the file's LUT or window, else by all that its stored bits can hold, see
  `formats.dicom_pixels.tones`.
- Orientation: an EXIF orientation in the first 64 KiB of the file is applied, and so is a TIFF's own.
- Refused: 12-bit JPEG files, animated PNG, multi-page TIFF and multi-frame DICOM, floating-point or 32-bit
  values, and more than `max_pixels` pixels. A truncated file is refused, never read in part.
"""

import os
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from semenet.data.images.contents import MAX_BYTES, image_name, read_contents
from semenet.data.images.decoded_image import (
    MAX_PIXELS,
    TRANSPOSED,
    DecodedImage,
    ValueRange,
    upright,
)
from semenet.data.images.errors import ImageError, ImageHeaderWarning
from semenet.data.images.formats.bmp import decode_bmp, is_bmp
from semenet.data.images.formats.dicom import HEAD_BYTES, decode_dicom, is_dicom
from semenet.data.images.formats.jpeg import JpegHeader, decode_jpeg, is_jpeg, jpeg_header
from semenet.data.images.formats.png import PngHeader, decode_png, is_png, png_header
from semenet.data.images.formats.tiff import decode_tiff, is_tiff
from semenet.data.images.pixel_range import check_range, check_used_range
from semenet.data.images.tones import eight_bits


class Format(NamedTuple):
    """An image format.

    Attributes:
        matches: returns whether a file with these first bytes has this format.
        decode: decodes the bytes of a file; further arguments are the name in error messages and the largest
            height x width to decode.
        header: reads the height, the width and the orientation without decoding; None where that is not
            supported.
    """

    matches: Callable[[bytes], bool]
    decode: Callable[[bytes, str, int], DecodedImage]
    header: Callable[[bytes, str], PngHeader | JpegHeader] | None = None


# The first format that matches is used. DICOM precedes TIFF: a DICOM file's preamble may be a TIFF header,
# for programs that read only TIFF.
FORMATS = (
    Format(is_png, decode_png, png_header),
    Format(is_jpeg, decode_jpeg, jpeg_header),
    Format(is_dicom, decode_dicom),
    Format(is_tiff, decode_tiff),
    Format(is_bmp, decode_bmp),
)


def read_image(
    path_or_bytes: str | os.PathLike | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Reads a radiograph as grey: PNG, JPEG, TIFF, BMP or DICOM.

    Args:
        path_or_bytes: a path, or the bytes of an encoded image. The format is recognised by the contents, not
            by the file's name.
        name: the image's name in errors and warnings; None for the path, or "<bytes>".
        max_pixels: the largest height x width to decode.

    Returns:
        uint8 `(height, width)`, values in [0, 255], by the rule in this module's docstring.

    Raises:
        MissingImageError: the file does not exist.
        ImageTypeError: neither a path nor bytes.
        ImageError: the file is a folder, empty, in no supported format, truncated or damaged, holds several
            images, is larger than `max_pixels`, or is refused by the rule of this module.

    Warns:
        PixelRangeWarning: as `check_range`, or 16-bit values use less than a sixteenth of their range: such
            an image is almost uniformly grey.
        ImageHeaderWarning: for each such file, a DICOM header that contradicts its pixels, or hides them: see
            `formats.dicom_pixels.tones` and `formats.dicom_pixels.levels`.

    Example:
        >>> import pathlib
        >>> path = next(pathlib.Path("images").glob("*.png"))
        >>> image = semenet.read_image(path)
        >>> image.shape, image.dtype
        ((64, 64), dtype('uint8'))
    """
    name = image_name(path_or_bytes) if name is None else name
    decoded = _decode(_contents(path_or_bytes, name, max_pixels), name, max_pixels)
    image = upright(decoded)
    for note in decoded.notes:
        warnings.warn(note, ImageHeaderWarning, stacklevel=2)
    if image.dtype == np.uint16:
        check_used_range(ValueRange(0, int(image.max()), 1 << 16), name)
        image = eight_bits(image)
    check_range(image, name)
    return image


def check_image(contents: bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Checks the bytes of an image as `read_image` does: limits of work, damage, and missing data.

    The server checks every file with it before a model's graph decodes the file.

    Args:
        contents: the bytes of an encoded image.
        name: as for `read_image`.
        max_pixels: as for `read_image`.

    Returns:
        (height, width) of the image that `read_image` returns, in pixels.

    Raises:
        ImageError: as for `read_image`.

    Example:
        >>> import pathlib
        >>> contents = next(pathlib.Path("images").glob("*.png")).read_bytes()
        >>> semenet.data.check_image(contents)
        (64, 64)
        >>> semenet.data.check_image(contents[:-100], name="cut.png")
        Traceback (most recent call last):
        semenet.data.images.errors.ImageError: ... Received: cut.png, a PNG truncated after ...
    """
    name = image_name(contents) if name is None else name
    return upright(_decode(_contents(contents, name, max_pixels), name, max_pixels)).shape


def image_size(path_or_bytes: str | os.PathLike | bytes, *, name: str | None = None) -> tuple[int, int]:
    """Returns the size of the image that `read_image` returns.

    The size of a PNG or JPEG is read from its header, without decoding the pixels.

    Args:
        path_or_bytes: as for `read_image`.
        name: as for `read_image`.

    Returns:
        (height, width), in pixels.

    Raises:
        ImageError: as for `read_image`; for a PNG or JPEG only what its header shows.

    Example:
        >>> import pathlib
        >>> semenet.data.image_size(next(pathlib.Path("images").glob("*.png")))
        (64, 64)
    """
    name = image_name(path_or_bytes) if name is None else name
    contents = read_contents(path_or_bytes, name)
    header = _format_of(contents, name).header
    if header is None:
        return read_image(contents, name=name).shape
    declared = header(contents, name)
    if declared.orientation in TRANSPOSED:
        return declared.width, declared.height
    return declared.height, declared.width


def read_mask(
    path_or_bytes: str | os.PathLike | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Reads a mask: black is outside, the one other grey level is inside.

    Args:
        path_or_bytes: as for `read_image`.
        name: as for `read_image`.
        max_pixels: as for `read_image`.

    Returns:
        uint8 `(height, width)`, values in {0, 1}.

    Raises:
        ImageError: as for `read_image`, or the mask has more than one grey level besides black.

    Example:
        >>> manifest = semenet.read_manifest("manifest.csv")
        >>> mask = semenet.data.read_mask(manifest.rows["mask_path"].iloc[0])
        >>> np.unique(mask)
        array([0, 1], dtype=uint8)
    """
    name = image_name(path_or_bytes) if name is None else name
    image = upright(_decode(_contents(path_or_bytes, name, max_pixels), name, max_pixels))
    inside = image != 0
    if not np.array_equal(image, inside * image.max()):
        raise ImageError(
            f"A mask must have two grey levels, black outside and one other inside. Received: {name} with "
            f"{len(np.unique(image))} grey levels. Threshold it, and save it as PNG."
        )
    return inside.astype(np.uint8)


def _contents(path_or_bytes: str | os.PathLike | bytes, name: str, max_pixels: int) -> bytes:
    return read_contents(path_or_bytes, name, max_bytes=max(6 * max_pixels, MAX_BYTES))


def _decode(contents: bytes, name: str, max_pixels: int) -> DecodedImage:
    return _format_of(contents, name).decode(contents, name, max_pixels)


def _format_of(contents: bytes, name: str) -> Format:
    # DICOM needs the most bytes: it is recognised behind its preamble.
    head = contents[:HEAD_BYTES]
    for image_format in FORMATS:
        if image_format.matches(head):
            return image_format
    raise ImageError(
        "An image must be a PNG, JPEG, TIFF, BMP or DICOM file, whatever its name. Received: "
        f"{name}, which begins with {contents[:8]!r}. Convert it to PNG."
    )
