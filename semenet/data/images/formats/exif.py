"""The EXIF orientation of PNG and JPEG files."""

import re

# The orientation is searched in this many bytes from the file's start.
HEAD_BYTES = 65536

# The orientation tag 0x0112 as one SHORT (TIFF 6.0, section 2), little- or big-endian, after the introduction
# that EXIF has in a JPEG or a PNG. The first match is the image's tag; a second one is its thumbnail's.
# %s stands for any byte, which `re` and TensorFlow's RE2 write differently: both readers, on the host and in
# the graph, use this one pattern.
ORIENTATION_PATTERN = (
    r"(?:Exif\x00\x00|eXIf)(?:II\*\x00%s*?\x12\x01\x03\x00\x01\x00\x00\x00([\x01-\x08])\x00"
    r"|MM\x00\*%s*?\x01\x12\x00\x03\x00\x00\x00\x01\x00([\x01-\x08]))"
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
    any_byte = r"[\x00-\xff]"
    match = re.search((ORIENTATION_PATTERN % (any_byte, any_byte)).encode("ascii"), head)
    return 1 if match is None else (match[1] or match[2])[0]
