"""Checks and decodes PNG radiographs."""

import zlib
from typing import NamedTuple

import cv2

from semenet.data.images.decoded_image import DecodedImage, check_pixel_count
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.exif import HEAD_BYTES, exif_orientation
from semenet.data.images.formats.opencv import decode_with_opencv

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The colour types with colours (PNG specification, section 11.2.1) and the position of the type in a file.
COLOUR_TYPES = (2, 3, 6)
COLOUR_TYPE_POSITION = 25
# Encoders write chunks of 8 KiB or more, so that the largest image has some ten thousand.
_MOST_CHUNKS = 100_000


def is_png(head: bytes) -> bool:
    """Returns whether a file with these first bytes is a PNG."""
    return head.startswith(SIGNATURE)


class PngHeader(NamedTuple):
    """The header of a PNG. Its size may be 0 or absurdly large."""

    height: int
    width: int
    orientation: int


def png_header(contents: bytes, name: str) -> PngHeader:
    """Reads the header, and checks every chunk.

    OpenCV would decode an animation's first frame, and ignores wrong checksums of chunks without pixels.

    Args:
        contents: the bytes of a PNG.
        name: the file's name in error messages.

    Returns:
        The header.

    Raises:
        ImageError: the file is truncated, has a wrong checksum, or is animated.
    """
    position, kind, chunks = len(SIGNATURE), b"", 0
    header = contents[position : position + 16]
    if header[4:8] != b"IHDR" or len(header) < 16:
        raise damaged_image(name, "a PNG without a header")
    while kind != b"IEND":
        chunks += 1
        if chunks > _MOST_CHUNKS:
            raise ImageError(
                f"A PNG must have at most {_MOST_CHUNKS:,} chunks. Received: {name} with more. Check the "
                "file's origin, or save the image again."
            )
        length = int.from_bytes(contents[position : position + 4], "big")
        kind = contents[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(contents):
            raise damaged_image(name, f"a PNG truncated after {len(contents):,} bytes")
        chunk = memoryview(contents)[position + 4 : end - 4]
        if zlib.crc32(chunk) != int.from_bytes(contents[end - 4 : end], "big"):
            raise damaged_image(name, f"a PNG whose chunk {kind!r} has a wrong checksum")
        if kind == b"acTL":
            raise ImageError(
                f"An image file must hold one image. Received: {name}, an animated PNG. "
                "Save the frame that you need as a file."
            )
        position = end
    height, width = int.from_bytes(header[12:16], "big"), int.from_bytes(header[8:12], "big")
    return PngHeader(height, width, exif_orientation(contents[:HEAD_BYTES]))


def decode_png(contents: bytes, name: str, max_pixels: int) -> DecodedImage:
    """Decodes a PNG as grey.

    Args:
        contents: the bytes of a PNG.
        name: the file's name in error messages.
        max_pixels: the largest height x width to decode.

    Returns:
        uint8, or uint16 for 16-bit files; libpng converts colours to grey.

    Raises:
        ImageError: as `png_header`, larger than `max_pixels`, or the pixels are damaged.
    """
    header = png_header(contents, name)
    check_pixel_count(header.height, header.width, name, max_pixels)
    image = decode_with_opencv(contents, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if image is None or image.shape != (header.height, header.width):
        raise damaged_image(name, "which cannot be decoded")
    return DecodedImage(image, header.orientation)
