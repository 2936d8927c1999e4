"""What an encoded PNG or JPEG says of itself, read before a pixel of it is decoded."""

import math
import re
import zlib
from typing import NamedTuple

from semenet.errors import SemenetError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
HEAD_BYTES = 65536
# A radiograph has at most some 20 million pixels; five times that is a mistake or an attack.
MAX_PIXELS = 100_000_000

# The orientation tag 0x0112 as one SHORT (TIFF 6.0, section 2), little- or big-endian, after the
# introduction that EXIF has in a JPEG or a PNG; the first is the image's, a second one its thumbnail's.
# %s stands for any byte, which `re` and TensorFlow's RE2 spell differently: one pattern serves both
# readers, on the host and in the graph.
ORIENTATION_PATTERN = (
    r"(?:Exif\x00\x00|eXIf)(?:II\*\x00%s*?\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\x00"
    r"|MM\x00\*%s*?\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08]))"
)
# The orientations (TIFF 6.0, tag 274) whose upright image takes each step, in this order.
TRANSPOSED = (5, 6, 7, 8)
MIRRORED_COLUMNS = (2, 3, 6, 7)
MIRRORED_ROWS = (3, 4, 7, 8)


# What a JPEG decoder takes for nothing behind complete data.
SURPLUS = b"\xff\x00" * 64
# A marker among compressed data, where 0xFF is followed by 0 and restarts (0xD0 to 0xD7) belong to them.
SCAN_END = re.compile(b"\xff[\x01-\xcf\xd8-\xfe]")
RESTART = re.compile(b"\xff[\xd0-\xd7]")


class Header(NamedTuple):
    """What a PNG or JPEG says of itself: a size that may be 0 or absurdly large, and a JPEG's channels.

    A PNG has 0 channels: its decoders mix them.
    """

    height: int
    width: int
    channels: int
    is_progressive: bool


class ImageError(SemenetError):
    """An image that cannot be used: the rule, the file, what was received, the remedy."""


def absent(name):
    """Returns the ImageError of a file that is not there."""
    return ImageError(f"An image must exist. Received: {name}, which does not. Check the path.")


def damaged(name, how):
    """Returns the ImageError of a file that is not whole; `how` ends "Received: <name>, ..."."""
    return ImageError(f"An image must be whole. Received: {name}, {how}. Fetch or save it again.")


def read_header(contents, name):
    """Reads the header, and refuses what decoders pass over in silence.

    Args:
        contents: the bytes of a PNG or JPEG, by their first bytes.
        name: what errors call the file.

    Returns:
        Its `Header`.

    Raises:
        ImageError: truncated, a wrong checksum, an animation, or a JPEG of other than 8 bits.
    """
    if contents.startswith(PNG_SIGNATURE):
        return Header(*_png_size(contents, name), 0, False)
    return _read_jpeg(contents, name)


def orientation(contents):
    """Returns the EXIF orientation in the first 64 KiB, 1 (upright) to 8; 1 where there is none.

    Args:
        contents: the bytes of a PNG or JPEG.
    """
    # A JPEG's EXIF stands before its picture; half of the search's time would go into the latter.
    head = contents[: min(HEAD_BYTES, _jpeg_head_end(contents))]
    # The plain search spares the pattern its walk through images that carry no EXIF.
    if b"Exif\x00\x00" not in head and b"eXIf" not in head:
        return 1
    any_byte = r"[\x00-\xff]"
    match = re.search((ORIENTATION_PATTERN % (any_byte, any_byte)).encode("ascii"), head)
    return 1 if match is None else (match[1] or match[2])[0]


def _jpeg_head_end(contents):
    """Where a JPEG's first scan begins; the file's end, where it is no JPEG or no scan is found."""
    position = 2
    while contents[0] == 0xFF and contents[position : position + 1] == b"\xff":
        marker = contents[position + 1 : position + 2]
        if marker == b"\xda":
            return position
        is_filler = marker == b"\xff"
        position += 1 if is_filler else 2 + int.from_bytes(contents[position + 2 : position + 4], "big")
    return len(contents)


def _png_size(contents, name):
    """Walks the chunks to the end: OpenCV would decode an animation's first frame unasked."""
    position, kind = len(PNG_SIGNATURE), b""
    header = contents[position : position + 16]
    if header[4:8] != b"IHDR" or len(header) < 16:
        raise damaged(name, "a PNG without a header")
    while kind != b"IEND":
        length = int.from_bytes(contents[position : position + 4], "big")
        kind = contents[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(contents):
            raise damaged(name, f"a PNG that breaks off after {len(contents):,} bytes")
        part = memoryview(contents)[position + 4 : end - 4]
        if zlib.crc32(part) != int.from_bytes(contents[end - 4 : end], "big"):
            raise damaged(name, f"a PNG whose part {kind!r} has a wrong checksum")
        if kind == b"acTL":
            raise ImageError(
                f"An image must be one picture. Received: {name}, an animated PNG. "
                "Save the frame that is meant."
            )
        position = end
    return int.from_bytes(header[12:16], "big"), int.from_bytes(header[8:12], "big")


def _read_jpeg(contents, name):
    """Walks the segments to the frame header (ITU-T T.81, annex B)."""
    position = 2
    while True:
        if position + 4 > len(contents):
            raise damaged(name, "a JPEG without a frame header")
        if contents[position] != 0xFF:
            raise damaged(name, "a JPEG with stray bytes between its segments")
        marker = contents[position + 1]
        if marker == 0xFF:
            position += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            break
        else:
            position += 2 + int.from_bytes(contents[position + 2 : position + 4], "big")
    frame = contents[position + 4 : position + 11]
    # Inside compressed data 0xFF is followed by 0: these two bytes are the end marker or nothing.
    # Searched from the back, where it stands.
    if len(frame) < 7 or contents.rfind(JPEG_END, position) < 0:
        raise damaged(name, f"a JPEG that breaks off after {len(contents):,} bytes")
    precision, channels = frame[0], frame[5]
    if precision != 8 or channels not in (1, 3, 4):
        raise ImageError(
            f"A JPEG must be grey, colour or CMYK, with 8 bits. Received: {name} with {channels} channels "
            f"of {precision} bits. Convert it to grey PNG."
        )
    is_progressive = marker == 0xC2
    if is_progressive and _coefficients_of(contents, position, frame[6]) != set(range(64)):
        raise damaged(name, "a progressive JPEG whose data end before the image does")
    check_restarts(contents, name)
    size = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return Header(*size, channels, is_progressive)


def check_restarts(contents, name):
    """Refuses a sequential JPEG whose data end at one of its restart markers (T.81, B.2.4.4).

    There the decoder can begin anew, so that what stands in place of the rest never disturbs it.

    Args:
        contents: the bytes of a JPEG.
        name: what errors call the file.

    Raises:
        ImageError: there are fewer restart markers than the image has intervals.
    """
    scan = _jpeg_head_end(contents)
    if contents.find(b"\xff\xdd\x00\x04", 0, scan) < 0:
        return
    position, interval, frame, block = 2, 0, b"", 8
    while position < scan:
        marker, length = contents[position + 1], int.from_bytes(contents[position + 2 : position + 4], "big")
        if marker == 0xFF:
            position += 1
            continue
        segment = contents[position + 4 : position + 2 + length]
        if marker == 0xDD:
            interval = int.from_bytes(segment, "big")
        elif marker in (0xC0, 0xC1, 0xC3):
            # Lossless JPEG codes pixels, not blocks.
            frame, block = segment, 1 if marker == 0xC3 else 8
        position += 2 + length
    # Several scans have their restarts each for itself; so have progressive images.
    if not interval or len(frame) < 9 or contents[scan + 4 : scan + 5] != frame[5:6]:
        return
    sides = block, block
    if frame[5] > 1:
        sides = [
            block * max(step) for step in zip(*(divmod(byte, 16)[::-1] for byte in frame[7::3]), strict=True)
        ]
    if not all(sides):
        raise damaged(name, "a JPEG whose frame header is damaged")
    units = math.prod(
        -(-int.from_bytes(frame[place : place + 2], "big") // side)
        for place, side in zip((1, 3), sides, strict=True)
    )
    begin = scan + 2 + int.from_bytes(contents[scan + 2 : scan + 4], "big")
    end = SCAN_END.search(contents, begin)
    data = contents[begin : len(contents) if end is None else end.start()]
    found, wanted = len(RESTART.findall(data)), -(-units // interval) - 1
    if RESTART.match(data, len(data) - 2):
        raise damaged(name, "a JPEG without data behind its last restart marker")
    if found < wanted:
        raise damaged(name, f"a JPEG with {found:,} of {wanted:,} restart markers")


def _coefficients_of(contents, position, component):
    """Which of a component's 64 coefficients the scans bring to full precision (T.81, annex G).

    Where some are missing, decoders show a blurred image in silence, each version its own.
    """
    complete = set()
    while position + 4 <= len(contents) and contents[position] == 0xFF:
        marker = contents[position + 1]
        if marker == JPEG_END[1]:
            break
        if marker == 0xFF:
            position += 1
            continue
        length = int.from_bytes(contents[position + 2 : position + 4], "big")
        segment = contents[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xDA:
            count = segment[0] if segment else 0
            if len(segment) == 4 + 2 * count and component in segment[1 : 1 + 2 * count : 2]:
                first, last, precision = segment[-3:]
                if precision & 15 == 0:
                    complete.update(range(first, last + 1))
            following = SCAN_END.search(contents, position)
            position = following.start() if following else len(contents)
    return complete
