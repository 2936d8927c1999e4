"""The EXIF orientation of PNG and JPEG files."""

import re

# The orientation is searched in this many bytes from the file's start.
HEAD_BYTES = 65536

# The orientation tag 0x0112 as one SHORT (TIFF 6.0, section 2), little- or big-endian, after the introduction
# that EXIF has in a JPEG or a PNG. The first match is the image's tag; a second one is its thumbnail's.
# %s stands for any byte, as TensorFlow's RE2 writes it. The graph uses this pattern. With `re` it would take
# time that grows with the square of the introductions, so that the host searches its parts one after another.
ORIENTATION_PATTERN = (
    r"(?:Exif\x00\x00|eXIf)(?:II\*\x00%s*?\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\x00"
    r"|MM\x00\*%s*?\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08]))"
)

_BYTE_ORDERS = tuple(
    (re.compile(rb"(?:Exif\x00\x00|eXIf)" + start), re.compile(tag))
    for start, tag in (
        (rb"II\*\x00", rb"\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\x00"),
        (rb"MM\x00\*", rb"\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08])"),
    )
)


def exif_orientation(head: bytes) -> int:
    """Finds the EXIF orientation.

    Args:
        head: the first bytes of a PNG or JPEG, at most `HEAD_BYTES`.

    Returns:
        1 (upright) to 8; 1 for a file without EXIF orientation.
    """
    # Images without EXIF need no search by the pattern, which is slow.
    if b"Exif\x00\x00" not in head and b"eXIf" not in head:
        return 1
    found = []
    for introduction, tag in _BYTE_ORDERS:
        # If no tag follows the first introduction of a byte order, none follows a later one.
        start = introduction.search(head)
        value = None if start is None else tag.search(head, start.end())
        if value is not None:
            found.append((start.start(), value[1][0]))
    return min(found)[1] if found else 1
