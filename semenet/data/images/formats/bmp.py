"""Checks and decodes BMP radiographs.

Supported are uncompressed files of 1, 4 or 8 bits with a palette, and of 24 or 32 bits in colour.
"""

import cv2

from semenet.data.images.decoded_image import DecodedImage, check_pixel_count
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.opencv import decode_with_opencv
from semenet.data.images.tones import grey_of_colours

SIGNATURE = b"BM"
_UNCOMPRESSED, _BIT_FIELDS = 0, 3
# The bit masks of blue, green and red that all programs write. Others would need arithmetic.
_USUAL_FIELDS = b"\x00\x00\xff\x00" + b"\x00\xff\x00\x00" + b"\xff\x00\x00\x00"


def is_bmp(head: bytes) -> bool:
    """Returns whether a file with these first bytes is a BMP."""
    return head.startswith(SIGNATURE)


def decode_bmp(contents: bytes, name: str, max_pixels: int) -> DecodedImage:
    """Decodes a BMP as grey.

    Args:
        contents: the bytes of a BMP.
        name: the file's name in error messages.
        max_pixels: the largest height x width to decode.

    Returns:
        uint8, mixed from the colours.

    Raises:
        ImageError: as `bmp_size`, larger than `max_pixels`, or the pixels are damaged.
    """
    height, width = bmp_size(contents, name)
    check_pixel_count(height, width, name, max_pixels)
    colours = decode_with_opencv(contents, cv2.IMREAD_COLOR_RGB)
    if colours is None or colours.shape != (height, width, 3):
        raise damaged_image(name, "which cannot be decoded")
    return DecodedImage(grey_of_colours(colours))


def bmp_size(contents: bytes, name: str) -> tuple[int, int]:
    """Reads the declared size, and checks that the file contains all rows.

    Args:
        contents: the bytes of a BMP.
        name: the file's name in error messages.

    Returns:
        (height, width) as the header declares them, which may be 0 or absurdly large.

    Raises:
        ImageError: the file is compressed, has another number of bits, or is truncated.
    """

    def number(start: int, size: int = 4, signed: bool = False) -> int:
        return int.from_bytes(contents[start : start + size], "little", signed=signed)

    truncated = damaged_image(name, f"a BMP truncated after {len(contents):,} bytes")
    header = number(14)
    if len(contents) < 14 + max(header, 12):
        raise truncated
    if header == 12:
        width, height, bits, compression = number(18, 2), number(20, 2), number(24, 2), _UNCOMPRESSED
    elif header in (40, 52, 56, 64, 108, 124):
        width, height = number(18, signed=True), abs(number(22, signed=True))
        bits, compression = number(28, 2), number(30)
    else:
        raise damaged_image(name, f"a BMP with a header of {header:,} bytes")
    has_usual_fields = compression == _BIT_FIELDS and bits == 32 and contents[54:66] == _USUAL_FIELDS
    if bits not in (1, 4, 8, 24, 32) or (compression != _UNCOMPRESSED and not has_usual_fields):
        raise ImageError(
            f"A BMP must be uncompressed, with 1, 4, 8, 24 or 32 bits. Received: {name} with {bits} bits "
            f"and compression {compression}. Convert it to grey PNG."
        )
    rows = max(height, 0) * ((max(width, 0) * bits + 31) // 32 * 4)
    palette = 0 if bits > 8 else (number(46) if header > 12 else 0) or 1 << bits
    start, entry = number(10), 3 if header == 12 else 4
    if palette > 256 or start < 14 + header + palette * entry or start + rows > len(contents):
        raise truncated
    return height, max(width, 0)
