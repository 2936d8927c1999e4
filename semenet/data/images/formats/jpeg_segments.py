"""The segments of a JPEG (ITU-T T.81, annex B), and the markers among its compressed data."""

import re
from collections.abc import Iterator
from typing import NamedTuple

START = b"\xff\xd8"
END = b"\xff\xd9"
HUFFMAN_TABLES, QUANTIZATION_TABLES, RESTART_INTERVAL, START_OF_SCAN = 0xC4, 0xDB, 0xDD, 0xDA
# The frame headers of T.81, table B.1: all of 0xC0 to 0xCF except Huffman tables, an extension and
# arithmetic coding conditions.
FRAME_HEADERS = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))

# A marker after compressed data. Within them 0xFF is followed by 0 or by a restart number (0xD0 to 0xD7).
SCAN_END = re.compile(b"\xff[\x01-\xcf\xd8-\xfe]")
RESTART = re.compile(b"\xff[\xd0-\xd7]")
_FILL = re.compile(b"\xff+")


class Segment(NamedTuple):
    """A marker segment.

    Attributes:
        marker: the byte behind 0xFF.
        start: the position of that 0xFF.
        end: the position behind the segment, by its declared length, which may lie beyond the file's end.
        payload: the bytes behind the length; fewer than declared where the file ends early.
    """

    marker: int
    start: int
    end: int
    payload: bytes

    @property
    def is_complete(self) -> bool:
        """Whether the payload is as long as declared."""
        return self.end - self.start == len(self.payload) + 4


def segments(contents: bytes, start: int = len(START)) -> Iterator[Segment]:
    """Yields the marker segments in order, without the compressed data between them.

    Args:
        contents: the bytes of a JPEG.
        start: the position of the first marker.

    Yields:
        Segments, until the end marker, the end of the file, or a byte that is no marker.
    """
    position = start
    while position + 4 <= len(contents) and contents[position] == 0xFF:
        marker = contents[position + 1]
        if marker == 0xFF:
            # Any number of fill bytes may stand before a marker.
            position = _FILL.match(contents, position).end() - 1
            continue
        if marker == END[1]:
            return
        end = position + 2 + int.from_bytes(contents[position + 2 : position + 4], "big")
        yield Segment(marker, position, end, contents[position + 4 : end])
        position = end if marker != START_OF_SCAN else scan_end(contents, end)


def scan_end(contents: bytes, start: int) -> int:
    """Returns the position of the first marker behind compressed data, or of the file's end.

    Args:
        contents: the bytes of a JPEG.
        start: where the compressed data begin.
    """
    following = SCAN_END.search(contents, start)
    return len(contents) if following is None else following.start()


def first_scan(contents: bytes) -> int:
    """Returns the position of the first scan's marker, or of the file's end where there is no scan."""
    scans = (segment.start for segment in segments(contents) if segment.marker == START_OF_SCAN)
    return next(scans, len(contents))
