"""Limits of the work to decode a JPEG, by its headers, before a decoder sees it.

A scan may be empty and cost two bytes, while a decoder passes over all of the image for it: a megabyte of
scans takes minutes. So may a frame header declare a large image without data for it.
"""

from semenet.data.images.errors import ImageError
from semenet.data.images.formats.jpeg_segments import START_OF_SCAN, segments

# Encoders write 10 scans, optimised files up to some dozens. `in_graph` has the same limits.
MOST_SCANS = 100
# Each scan is a pass over the image: 2,000 million pixels are 20 scans of the largest one.
MOST_PASSED_PIXELS = 2_000_000_000
# An image of more segments, such as application data, is an attack.
MOST_SEGMENTS = 1_000
# A block of 64 pixels takes a bit or more, and with the most unequal sampling factors a fourth of the blocks
# can do without: no file has more pixels for each of its bytes.
MOST_PIXELS_PER_BYTE = 64 * 8 * 4
_SCAN_MARKER = bytes((0xFF, START_OF_SCAN))


def count_scans(contents: bytes, name: str) -> int:
    """Counts the scans of a JPEG, up to a limit.

    Args:
        contents: the bytes of a JPEG.
        name: the file's name in error messages.

    Raises:
        ImageError: there are more than `MOST_SCANS` scans or `MOST_SEGMENTS` segments.
    """
    scans = 0
    for number, segment in enumerate(segments(contents)):
        if number >= MOST_SEGMENTS:
            raise _excessive(name, f"more than {MOST_SEGMENTS:,} segments")
        if segment.marker != START_OF_SCAN:
            continue
        scans += 1
        if scans > MOST_SCANS:
            raise _excessive(name, f"more than {MOST_SCANS} scans")
        # Most files have one scan: its data need not be searched for the next segment.
        if contents.find(_SCAN_MARKER, segment.end) < 0:
            break
    return scans


def check_work(scans: int, pixels: int, size: int, name: str) -> None:
    """Refuses an image that would take long to decode, or that cannot be complete.

    Args:
        scans: the number of scans.
        pixels: the declared height x width.
        size: the file's size in bytes.
        name: the file's name in error messages.

    Raises:
        ImageError: the scans pass over more than `MOST_PASSED_PIXELS` pixels, or there are more than
            `MOST_PIXELS_PER_BYTE` pixels for each byte.
    """
    if scans * pixels > MOST_PASSED_PIXELS:
        raise _excessive(name, f"{scans} scans of {pixels:,} pixels")
    if pixels > MOST_PIXELS_PER_BYTE * size:
        raise _excessive(name, f"{pixels:,} pixels in {size:,} bytes")


def _excessive(name: str, what: str) -> ImageError:
    return ImageError(
        f"A JPEG must have at most {MOST_SCANS} scans, {MOST_SEGMENTS:,} segments, {MOST_PASSED_PIXELS:,} "
        f"pixels in all scans and {MOST_PIXELS_PER_BYTE:,} pixels per byte. Received: {name} with {what}. "
        "Check the file's origin, or save the image again as baseline JPEG or PNG."
    )
