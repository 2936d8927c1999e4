"""Detects JPEGs whose compressed data end early although their end marker is present.

Decoders fill the missing part with grey, or show a blurred image, without an error. No library reports this.
"""

import math

from semenet.data.images.errors import damaged_image
from semenet.data.images.formats.jpeg_segments import (
    END,
    RESTART,
    RESTART_INTERVAL,
    START_OF_SCAN,
    first_scan,
    scan_end,
    segments,
)

# A decoder ignores these bytes behind complete data.
SURPLUS = b"\xff\x00" * 64
_BASELINE, _EXTENDED, _LOSSLESS = 0xC0, 0xC1, 0xC3


def with_surplus(contents: bytes) -> bytes:
    """Inserts bytes before the end marker, which change the decoded image only where data are missing.

    Args:
        contents: the bytes of a JPEG with an end marker.

    Returns:
        The longer JPEG.
    """
    end = contents.rindex(END)
    return contents[:end] + SURPLUS + contents[end:]


def check_restarts(contents: bytes, name: str) -> None:
    """Refuses a sequential JPEG whose data end at one of its restart markers (T.81, B.2.4.4).

    The decoder restarts at such a marker, so that replaced data behind it do not disturb the image.

    Args:
        contents: the bytes of a JPEG.
        name: the file's name in error messages.

    Raises:
        ImageError: there are fewer restart markers than the image has restart intervals.
    """
    scan = first_scan(contents)
    if contents.find(b"\xff\xdd\x00\x04", 0, scan) < 0:
        return
    interval, frame, block, components = 0, b"", 8, b""
    for segment in segments(contents):
        if segment.marker == RESTART_INTERVAL:
            interval = int.from_bytes(segment.payload, "big")
        elif segment.marker in (_BASELINE, _EXTENDED, _LOSSLESS):
            # Lossless JPEG encodes pixels, not blocks.
            frame, block = segment.payload, 1 if segment.marker == _LOSSLESS else 8
        elif segment.marker == START_OF_SCAN:
            components, begin = segment.payload[:1], segment.end
            break
    # In images of several scans, among them progressive ones, each scan has its own restarts.
    if not interval or len(frame) < 9 or components != frame[5:6]:
        return
    units = _coded_units(frame, block)
    if units is None:
        raise damaged_image(name, "a JPEG whose frame header is damaged")
    compressed = contents[begin : scan_end(contents, begin)]
    # A list of the markers would take a hundred times their bytes.
    found = sum(compressed.count(bytes((0xFF, marker))) for marker in range(0xD0, 0xD8))
    expected = -(-units // interval) - 1
    if RESTART.match(compressed, len(compressed) - 2):
        raise damaged_image(name, "a JPEG without data behind its last restart marker")
    if found < expected:
        raise damaged_image(name, f"a JPEG with {found:,} of {expected:,} restart markers")


def _coded_units(frame: bytes, block: int) -> int | None:
    """Returns how many units (MCUs) a scan of all components has; None for impossible sampling factors."""
    sides = [block, block]
    if frame[5] > 1:
        # Horizontal and vertical sampling factors; the frame stores the height first.
        factors = [divmod(byte, 16)[::-1] for byte in frame[7::3]]
        sides = [block * max(axis) for axis in zip(*factors, strict=True)]
    if not all(sides):
        return None
    lengths = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return math.prod(-(-length // side) for length, side in zip(lengths, sides, strict=True))


def complete_coefficients(contents: bytes, frame_start: int, component: int) -> set[int]:
    """Returns which of a component's 64 coefficients a progressive JPEG has in full precision (annex G).

    Where some are missing, decoders show a blurred image without an error, and different decoders show
    different ones.

    Args:
        contents: the bytes of a progressive JPEG.
        frame_start: the position of its frame header.
        component: the component's identifier in the frame header.
    """
    complete: set[int] = set()
    for segment in segments(contents, frame_start):
        if segment.marker != START_OF_SCAN:
            continue
        payload = segment.payload
        count = payload[0] if payload else 0
        if len(payload) == 4 + 2 * count and component in payload[1 : 1 + 2 * count : 2]:
            first, last, precision = payload[-3:]
            if precision & 15 == 0:
                complete.update(range(first, last + 1))
    return complete
