"""What a BMP says of itself, read before a pixel of it is decoded.

Read are uncompressed ones of 1, 4 or 8 bits with a palette, and of 24 or 32 bits of colour.
"""

from semenet.data.images.jpeg_png import ImageError, damaged

SIGNATURE = b"BM"

UNCOMPRESSED, BIT_FIELDS = 0, 3
# The masks of blue, green and red that every program writes; others would need arithmetic.
PLAIN_FIELDS = b"\x00\x00\xff\x00" + b"\x00\xff\x00\x00" + b"\xff\x00\x00\x00"


def bmp_size(contents, name):
    """Reads the declared size, and checks that all rows lie in the file.

    Args:
        contents: the bytes of a BMP.
        name: what errors call the file.

    Returns:
        (height, width) as the header declares them, which may be 0 or absurdly large.

    Raises:
        ImageError: compressed, of other bits, or a file that breaks off.
    """

    def number(start, size=4, signed=False):
        return int.from_bytes(contents[start : start + size], "little", signed=signed)

    header = number(14)
    if len(contents) < 14 + max(header, 12):
        raise damaged(name, f"a BMP that breaks off after {len(contents):,} bytes")
    if header == 12:
        width, height, bits, compression = number(18, 2), number(20, 2), number(24, 2), UNCOMPRESSED
    elif header in (40, 52, 56, 64, 108, 124):
        width, height = number(18, signed=True), abs(number(22, signed=True))
        bits, compression = number(28, 2), number(30)
    else:
        raise damaged(name, f"a BMP with a header of {header:,} bytes")
    fields = compression == BIT_FIELDS and bits == 32 and contents[54:66] == PLAIN_FIELDS
    if bits not in (1, 4, 8, 24, 32) or (compression != UNCOMPRESSED and not fields):
        raise ImageError(
            f"A BMP must be uncompressed, with 1, 4, 8, 24 or 32 bits. Received: {name} with {bits} bits "
            f"and compression {compression}. Convert it to grey PNG."
        )
    rows = max(height, 0) * ((max(width, 0) * bits + 31) // 32 * 4)
    palette = 0 if bits > 8 else (number(46) if header > 12 else 0) or 1 << bits
    start, entry = number(10), 3 if header == 12 else 4
    if palette > 256 or start < 14 + header + palette * entry or start + rows > len(contents):
        raise damaged(name, f"a BMP that breaks off after {len(contents):,} bytes")
    return height, max(width, 0)
