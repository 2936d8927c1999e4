"""TIFF radiographs: one page of 1, 8 or 16 bits, grey, palette or colour.

Read are grey (black or white as 0), palette and RGB, with or without transparency, in strips or
tiles: uncompressed, LZW, Deflate or PackBits, whose ends are known. A TIFF of JPEG or fax data, of
CMYK or YCbCr, of 32-bit or floating-point values, of several pages, or a BigTIFF is refused.
"""

import io
import math
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np

from semenet.data.images.jpeg_png import ImageError, damaged
from semenet.data.images.tones import grey_of_colours

SIGNATURES = (b"II*\x00", b"MM\x00*")

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANES = 273, 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339

UNCOMPRESSED = 1
DEFLATED = (8, 32946)
COMPRESSIONS = {UNCOMPRESSED: "none", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)
# Samples a pixel that each interpretation may have; the last one is transparency, left out.
SAMPLES_OF = {WHITE_IS_ZERO: (1,), BLACK_IS_ZERO: (1, 2), RGB: (3, 4), PALETTE: (1,)}
# Bytes of a value of each type (TIFF 6.0, section 2).
BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
FORMAT_OF_TYPE = {1: "B", 3: "H", 4: "I"}
MOST_VALUES = 1 << 20


class Page(NamedTuple):
    """What a TIFF says of its one page."""

    height: int
    width: int
    bits: int
    photometric: int
    orientation: int
    orientation_at: int | None


def read_page(contents, name):
    """Reads the directory, before a pixel is decoded, and checks that all data lie in the file.

    Args:
        contents: the bytes of a TIFF.
        name: what errors call the file.

    Returns:
        `Page`; its height and width may be 0 or absurdly large.

    Raises:
        ImageError: what this module refuses, and a file that breaks off.
    """
    order = "<" if contents[:2] == b"II" else ">"
    fields, places, following = _directory(contents, name, order)
    if following:
        raise ImageError(
            f"An image must be one picture. Received: {name}, a TIFF of several pages. "
            "Save the page that is meant."
        )
    values = {tag: _values(contents, name, order, field) for tag, field in fields.items() if tag in _READ}

    def one(tag, default=None):
        found = values.get(tag, (default,))
        if found[0] is None or len(set(found)) != 1:
            raise damaged(name, f"a TIFF whose field {tag} is missing or contradicts itself")
        return found[0]

    page = Page(
        one(HEIGHT), one(WIDTH), one(BITS, 1), one(PHOTOMETRIC), one(ORIENTATION, 1), places.get(ORIENTATION)
    )
    samples, compression = one(SAMPLES, 1), one(COMPRESSION, UNCOMPRESSED)
    kinds = {
        f"compression {compression}": compression in COMPRESSIONS,
        f"interpretation {page.photometric}": page.photometric in SAMPLES_OF,
        f"{samples} samples a pixel": samples in SAMPLES_OF.get(page.photometric, (samples,)),
        f"{page.bits} bits": page.bits in (8, 16)
        or (page.bits == 1 and samples == 1 and page.photometric != PALETTE),
        "a palette of 16 bits": page.photometric != PALETTE or page.bits != 16,
        "values that are no whole numbers from 0": one(SAMPLE_FORMAT, 1) == 1,
        "separate planes": samples == 1 or one(PLANES, 1) == 1,
        "reversed bits": one(FILL_ORDER, 1) == 1,
        f"orientation {page.orientation}": 1 <= page.orientation <= 8,
        "16 bits and transparency": page.bits != 16 or samples in (1, 3),
    }
    refused = [kind for kind, fits in kinds.items() if not fits]
    if refused:
        raise ImageError(
            "A TIFF must be grey, palette or RGB, with 8 or 16 bits, uncompressed or by LZW, Deflate or "
            f"PackBits. Received: {name} with {', '.join(refused)}. Convert it to grey PNG."
        )
    if page.height and page.width:
        _check_data(contents, name, page, samples, compression, values, one)
    return page


def decode_tiff(contents, page, name):
    """Decodes the page that `read_page` found.

    Args:
        contents: the bytes of a TIFF.
        page: its `Page`.
        name: what errors call the file.

    Returns:
        uint8 or uint16 (height, width), grey, black as 0, before its orientation is obeyed.

    Raises:
        ImageError: its data are damaged.
    """
    if page.orientation_at is not None:
        # The decoders differ in how far they obey it: they see an upright image.
        upright = bytearray(contents)
        upright[page.orientation_at : page.orientation_at + 2] = struct.pack(
            "<H" if contents[:2] == b"II" else ">H", 1
        )
        contents = bytes(upright)
    # Pillow stops where 8-bit data are damaged; OpenCV goes on. Of 16 bits OpenCV stops, and Pillow
    # keeps only the upper 8 of colours.
    image = _decode_sixteen(contents) if page.bits == 16 else _decode_eight(contents, name)
    if image is None or image.shape[:2] != (page.height, page.width):
        raise damaged(name, "a TIFF that cannot be decoded")
    if image.ndim == 3:
        return grey_of_colours(image)
    if page.bits == 16 and page.photometric == WHITE_IS_ZERO:
        return 65535 - image
    return image


_READ = (
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES),
    *(ROWS_PER_STRIP, STRIP_BYTES, PLANES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT),
)


def _directory(contents, name, order):
    """Returns {tag: (type, count, place of its values)}, {tag: the same place}, the next directory."""
    cut = damaged(name, f"a TIFF that breaks off after {len(contents):,} bytes")
    if len(contents) < 8:
        raise cut
    (start,) = struct.unpack_from(order + "I", contents, 4)
    if start + 2 > len(contents):
        raise cut
    (count,) = struct.unpack_from(order + "H", contents, start)
    end = start + 2 + 12 * count
    if end + 4 > len(contents):
        raise cut
    fields, places = {}, {}
    for position in range(start + 2, end, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", contents, position)
        size = BYTES_OF_TYPE.get(kind, 1) * length
        place = position + 8 if size <= 4 else struct.unpack_from(order + "I", contents, position + 8)[0]
        if place + size > len(contents):
            raise cut
        if tag in fields:
            raise damaged(name, f"a TIFF with field {tag} twice")
        fields[tag], places[tag] = (kind, length, place), place
    return fields, places, struct.unpack_from(order + "I", contents, end)[0]


def _values(contents, name, order, field):
    kind, length, place = field
    if kind not in FORMAT_OF_TYPE or not 0 < length <= MOST_VALUES:
        raise damaged(name, f"a TIFF with a field of {length:,} values of type {kind}")
    return struct.unpack_from(f"{order}{length}{FORMAT_OF_TYPE[kind]}", contents, place)


def _check_data(contents, name, page, samples, compression, values, one):
    """Refuses strips or tiles that are missing, lie beyond the file's end, or are too short."""
    if TILE_OFFSETS in values or TILE_WIDTH in values:
        rows, columns = one(TILE_HEIGHT), one(TILE_WIDTH)
        offsets, lengths = values.get(TILE_OFFSETS, ()), values.get(TILE_BYTES, ())
    else:
        rows, columns = min(one(ROWS_PER_STRIP, page.height), page.height), page.width
        offsets, lengths = values.get(STRIP_OFFSETS, ()), values.get(STRIP_BYTES, ())
    if not rows or not columns:
        raise damaged(name, "a TIFF whose parts have no pixels")
    # A tile far larger than its image would be decoded whole.
    if TILE_WIDTH in values and (rows > page.height + 1024 or columns > page.width + 1024):
        raise damaged(name, f"a TIFF of tiles of {rows:,} x {columns:,} pixels")
    down, across = math.ceil(page.height / rows), math.ceil(page.width / columns)
    if not len(offsets) == len(lengths) == down * across:
        raise damaged(name, f"a TIFF with {len(offsets)} of {down * across} parts")
    row_bytes = math.ceil(columns * samples * page.bits / 8)
    for index, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        here = min(rows, page.height - rows * index) if TILE_OFFSETS not in values else rows
        short = compression == UNCOMPRESSED and length < here * row_bytes
        if not length or short or offset < 8 or offset + length > len(contents):
            raise damaged(name, f"a TIFF that breaks off after {len(contents):,} bytes")
        if compression in DEFLATED:
            _check_deflated(contents[offset : offset + length], here * row_bytes, name)


def _check_deflated(part, size, name):
    """Refuses a damaged part by its checksum, which decoders leave unread."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(part, size + 1)
    except zlib.error as error:
        raise damaged(name, f"a TIFF whose compressed data are damaged ({error})") from error
    if len(inflated) < size or not inflater.eof:
        raise damaged(name, "a TIFF whose compressed data are not what its header says")


def _decode_eight(contents, name):
    # The format's own class: Pillow's `open` warns of large images, whose size is checked here.
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        file = TiffImageFile(io.BytesIO(contents))
        if file.mode in ("1", "LA", "P"):
            file = file.convert("RGB" if file.mode == "P" else "L")
        image = np.asarray(file)
    except (OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise damaged(name, f"a TIFF that cannot be decoded ({error})") from error
    return image if image.dtype == np.uint8 else None


def _decode_sixteen(contents):
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(contents, np.uint8), flags)
    except cv2.error:
        return None
    if image is None or image.dtype != np.uint16:
        return None
    return image if image.ndim == 2 else image[..., ::-1]
