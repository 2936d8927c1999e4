"""Checks and decodes JPEG radiographs of 8 bits, grey, colour or CMYK."""

from typing import NamedTuple

import cv2
import numpy as np

from semenet.data.images.decoded_image import DecodedImage, check_pixel_count
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.cmyk import decode_cmyk
from semenet.data.images.formats.exif import HEAD_BYTES, exif_orientation
from semenet.data.images.formats.jpeg_completeness import (
    check_restarts,
    complete_coefficients,
    with_surplus,
)
from semenet.data.images.formats.jpeg_limits import check_work, count_scans
from semenet.data.images.formats.jpeg_segments import END, FRAME_HEADERS, START, first_scan, segments
from semenet.data.images.formats.opencv import decode_with_opencv
from semenet.data.images.tones import grey_of_colours

SIGNATURE = b"\xff\xd8\xff"
_PROGRESSIVE = 0xC2


class JpegHeader(NamedTuple):
    """The header of a JPEG. Its size may be 0 or absurdly large."""

    height: int
    width: int
    channels: int
    is_progressive: bool
    orientation: int
    scans: int


def is_jpeg(head: bytes) -> bool:
    """Returns whether a file with these first bytes is a JPEG."""
    return head.startswith(SIGNATURE)


def jpeg_header(contents: bytes, name: str) -> JpegHeader:
    """Reads the header, and refuses files with missing data that decoders accept without an error.

    Args:
        contents: the bytes of a JPEG.
        name: the file's name in error messages.

    Returns:
        The header.

    Raises:
        ImageError: the file is truncated, has too many scans or segments, or does not have 8 bits and 1, 3 or
            4 channels.
    """
    scans, end = count_scans(contents, name), len(START)
    for segment in segments(contents):
        if segment.marker in FRAME_HEADERS:
            break
        end = segment.end
    else:
        is_stray = end + 4 <= len(contents) and contents[end] != 0xFF
        raise damaged_image(
            name,
            "a JPEG with stray bytes between its segments" if is_stray else "a JPEG without a frame header",
        )
    frame = segment.payload[:7]
    # Compressed data contain no such two bytes: each 0xFF in them is followed by 0. They are at the end, so
    # the search starts there.
    if len(frame) < 7 or contents.rfind(END, segment.start) < 0:
        raise damaged_image(name, f"a JPEG truncated after {len(contents):,} bytes")
    precision, channels = frame[0], frame[5]
    if precision != 8 or channels not in (1, 3, 4):
        raise ImageError(
            f"A JPEG must be grey, colour or CMYK, with 8 bits. Received: {name} with {channels} channels "
            f"of {precision} bits. Convert it to grey PNG."
        )
    is_progressive = segment.marker == _PROGRESSIVE
    if is_progressive and complete_coefficients(contents, segment.start, frame[6]) != set(range(64)):
        raise damaged_image(name, "a progressive JPEG whose data end before the image is complete")
    check_restarts(contents, name)
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    # EXIF precedes the compressed data. Searching these too would double the time.
    orientation = exif_orientation(contents[: min(HEAD_BYTES, first_scan(contents))])
    return JpegHeader(height, width, channels, is_progressive, orientation, scans)


def decode_jpeg(contents: bytes, name: str, max_pixels: int) -> DecodedImage:
    """Decodes a JPEG as grey.

    Args:
        contents: the bytes of a JPEG.
        name: the file's name in error messages.
        max_pixels: the largest height x width to decode.

    Returns:
        uint8: the stored luma, or CMYK mixed to grey.

    Raises:
        ImageError: as `jpeg_header` and `check_work`, larger than `max_pixels`, or the data are damaged or
            end early.
    """
    header = jpeg_header(contents, name)
    check_pixel_count(header.height, header.width, name, max_pixels)
    check_work(header.scans, header.height * header.width, len(contents), name)
    is_cmyk = header.channels == 4
    image = grey_of_colours(decode_cmyk(contents, name)) if is_cmyk else _decode(contents)
    if image is None or image.shape != (header.height, header.width):
        raise damaged_image(name, "which cannot be decoded")
    # Compared as bytes, in a tenth of the time that arrays take: every JPEG passes here.
    ends_in_fill = not image[-1, -8:].tobytes().strip(b"\x80")
    if not is_cmyk and (header.is_progressive or ends_in_fill):
        _check_data(contents, image, name)
    return DecodedImage(image, header.orientation)


def _decode(contents: bytes) -> np.ndarray | None:
    return decode_with_opencv(contents, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)


def _check_data(contents: bytes, image: np.ndarray, name: str) -> None:
    """Refuses a JPEG whose data end early.

    The decoder fills what is missing with 128, or leaves a progressive image blurred. Where the last pixels
    are 128, or the image is progressive, it is decoded again with surplus bytes.
    """
    padded = _decode(with_surplus(contents))
    if padded is None or not np.array_equal(padded, image):
        raise damaged_image(name, "a JPEG whose data end before the image is complete")
