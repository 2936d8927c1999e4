"""What an encoded PNG or JPEG says of itself, read before a pixel of it is decoded."""

import re
import zlib

from semenet.errors import SemenetError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
HEAD_BYTES = 65536

# The orientation tag 0x0112 as one SHORT (TIFF 6.0, section 2), little- or big-endian, after the
# introduction that EXIF has in a JPEG or a PNG. %s stands for any byte, which `re` and TensorFlow's
# RE2 spell differently: one pattern serves the reader on the host and the one in the graph.
ORIENTATION_PATTERN = (
    r"(?:Exif\x00\x00|eXIf)(?:II\*\x00%s*?\x12\x01\x03\x00\x01\x00\x00\x00([\x02-\x08])\x00"
    r"|MM\x00\*%s*?\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x02-\x08]))"
)
# The orientations (TIFF 6.0, tag 274) whose upright image takes each step, in this order.
TRANSPOSED = (5, 6, 7, 8)
MIRRORED_COLUMNS = (2, 3, 6, 7)
MIRRORED_ROWS = (3, 4, 7, 8)


class ImageError(SemenetError):
    """An image that cannot be used: the rule, the file, what was received, the remedy."""


def damaged(name, how):
    """Returns the ImageError of a file that is not whole; `how` ends "Received: <name>, ..."."""
    return ImageError(f"An image must be whole. Received: {name}, {how}. Fetch or save it again.")


def image_size(contents, name):
    """Reads the declared size, and refuses what decoders pass over in silence.

    Args:
        contents: the bytes of a file.
        name: what errors call the file.

    Returns:
        (height, width) as the header declares them, which may be 0 or absurdly large.

    Raises:
        ImageError: no PNG or JPEG, truncated, a wrong checksum, an animation, CMYK, or 12-bit JPEG.
    """
    if contents.startswith(PNG_SIGNATURE):
        return _png_size(contents, name)
    if contents.startswith(JPEG_SIGNATURE):
        return _jpeg_size(contents, name)
    raise ImageError(
        f"An image must be a PNG or JPEG, whatever it is called. Received: {name}, which begins with "
        f"{contents[:8]!r}. Convert it to PNG."
    )


def orientation(contents):
    """Returns the EXIF orientation in the first 64 KiB, 1 (upright) to 8; 1 where there is none.

    Args:
        contents: the bytes of a PNG or JPEG.
    """
    head = contents[:HEAD_BYTES]
    # The plain search spares the pattern its walk through images that carry no EXIF.
    if b"Exif\x00\x00" not in head and b"eXIf" not in head:
        return 1
    any_byte = r"[\x00-\xff]"
    match = re.search((ORIENTATION_PATTERN % (any_byte, any_byte)).encode("ascii"), head)
    return 1 if match is None else (match[1] or match[2])[0]


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


def _jpeg_size(contents, name):
    """Walks the segments to the frame header (ITU-T T.81, annex B)."""
    position = 2
    while True:
        if contents[position : position + 1] != b"\xff" or position + 4 > len(contents):
            raise damaged(name, "a JPEG without a frame header")
        marker = contents[position + 1]
        if marker == 0xFF:
            position += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            break
        else:
            position += 2 + int.from_bytes(contents[position + 2 : position + 4], "big")
    frame = contents[position + 4 : position + 10]
    # Inside compressed data 0xFF is followed by 0: these two bytes are the end marker or nothing.
    if len(frame) < 6 or JPEG_END not in contents[position:]:
        raise damaged(name, f"a JPEG that breaks off after {len(contents):,} bytes")
    precision, channels = frame[0], frame[5]
    if precision != 8 or channels not in (1, 3):
        raise ImageError(
            f"A JPEG must be grey or colour, with 8 bits. Received: {name} with {channels} channels "
            f"of {precision} bits (four channels are CMYK). Convert it to grey PNG."
        )
    return int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
