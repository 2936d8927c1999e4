"""Checks and decodes TIFF radiographs: one page of 1, 8 or 16 bits, grey, palette or colour.

Supported are grey (black or white as 0), palette and RGB, with or without transparency, in strips or tiles,
uncompressed or compressed by LZW, Deflate or PackBits: damage to these is detected. Refused are JPEG or fax
compression, CMYK or YCbCr, 32-bit or floating-point values, several pages, and BigTIFF.

tifffile reads the fields of the directory, and libtiff, in imagecodecs, decodes the pixels. Two checks stay
in this module. tifffile leaves out fields that it cannot read, follows a chain of pages, and makes Python
lists of as many values as a hostile file declares: so the directory is checked before tifffile reads it. Both
libraries repair strips that contradict the image, which would show a part of it: so the positions and sizes
of all strips and tiles are checked before libtiff decodes them.
"""

import io
import logging
import math
import struct
import zlib
from typing import NamedTuple

import numpy as np

from semenet.data.images.decoded_image import DecodedImage, check_pixel_count
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.tones import grey_of_colours

SIGNATURES = (b"II*\x00", b"MM\x00*")

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANES = 273, 274, 277, 278, 279, 284
COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 320, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
_TAGS = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES),
    *(ROWS_PER_STRIP, STRIP_BYTES, PLANES, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES),
    *(EXTRA_SAMPLES, SAMPLE_FORMAT),
}

_UNCOMPRESSED, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = (_UNCOMPRESSED, _LZW, _DEFLATE, _OLD_DEFLATE, _PACK_BITS)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)
# Samples per pixel that each interpretation may have. An additional last one is transparency.
_SAMPLES = {WHITE_IS_ZERO: (1,), BLACK_IS_ZERO: (1, 2), RGB: (3, 4), PALETTE: (1,)}
_PREMULTIPLIED = 1
# The types BYTE, SHORT and LONG (TIFF 6.0, section 2), one of which each field above has; the types of fields
# that tifffile reads into lists, with IFD; and the bytes per value of every type.
_WHOLE_NUMBERS = (1, 3, 4)
_LISTS = (3, 4, 13)
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_VALUES = 1 << 20
# The bytes of all strips or tiles together, in multiples of the file.
_MOST_OVERLAP = 4

# tifffile logs a line for each flaw of a file; the errors raised here report them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class Page(NamedTuple):
    """The one page of a TIFF, whose height and width may be 0 or absurdly large."""

    height: int
    width: int
    bits: int
    samples: int
    photometric: int
    orientation: int
    is_premultiplied: bool
    colour_map: tuple[int, ...]


def is_tiff(head: bytes) -> bool:
    """Returns whether a file with these first bytes is a TIFF."""
    return head.startswith(SIGNATURES)


def decode_tiff(contents: bytes, name: str, max_pixels: int) -> DecodedImage:
    """Decodes a TIFF as grey.

    Args:
        contents: the bytes of a TIFF.
        name: the file's name in error messages.
        max_pixels: the largest height x width to decode.

    Returns:
        uint8 or uint16, 0 is black.

    Raises:
        ImageError: as `read_page`, larger than `max_pixels`, or the pixels are damaged.
    """
    import imagecodecs

    page = read_page(contents, name)
    check_pixel_count(page.height, page.width, name, max_pixels)
    try:
        pixels = imagecodecs.tiff_decode(contents)
    except (RuntimeError, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise damaged_image(name, f"a TIFF whose pixels are damaged ({error})") from error
    shape = (page.height, page.width) if page.samples == 1 else (page.height, page.width, page.samples)
    if pixels.shape != shape or pixels.dtype != {1: bool, 8: np.uint8, 16: np.uint16}[page.bits]:
        raise damaged_image(name, "a TIFF that cannot be decoded")
    return DecodedImage(_grey(pixels, page), page.orientation)


def _grey(pixels: np.ndarray, page: Page) -> np.ndarray:
    if page.photometric == PALETTE:
        palette = np.array(page.colour_map).reshape(3, 256).T >> 8
        return grey_of_colours(palette.astype(np.uint8)[pixels])
    if page.samples in (2, 4):
        pixels = _without_transparency(pixels, page.is_premultiplied)
    if page.samples > 2:
        return grey_of_colours(pixels)
    if page.bits == 1:
        pixels = pixels * np.uint8(255)
    return ~pixels if page.photometric == WHITE_IS_ZERO else pixels


def _without_transparency(pixels: np.ndarray, is_premultiplied: bool) -> np.ndarray:
    """Removes the last of 2 or 4 samples, and divides the others by it where they were multiplied by it."""
    values, opacity = pixels[..., :-1], pixels[..., -1:].astype(np.uint16)
    if is_premultiplied:
        whole = np.minimum(values.astype(np.uint16) * 255 // np.maximum(opacity, 1), 255)
        values = np.where(opacity == 0, 0, whole).astype(np.uint8)
    return values if pixels.shape[-1] == 4 else values[..., 0]


def read_page(contents: bytes, name: str) -> Page:
    """Reads the directory before any pixel is decoded, and checks that the file contains all data.

    Args:
        contents: the bytes of a TIFF.
        name: the file's name in error messages.

    Returns:
        The page.

    Raises:
        ImageError: the TIFF is of a kind that this module refuses, or is truncated or damaged.
    """
    _check_directory(contents, name)
    fields = _read_fields(contents, name)

    def one(tag: int, default: int | None = None) -> int:
        return _one_value(fields, tag, default, name)

    page = Page(
        height=one(HEIGHT),
        width=one(WIDTH),
        bits=one(BITS, 1),
        samples=one(SAMPLES, 1),
        photometric=one(PHOTOMETRIC),
        orientation=one(ORIENTATION, 1),
        is_premultiplied=fields.get(EXTRA_SAMPLES, (0,))[0] == _PREMULTIPLIED,
        colour_map=fields.get(COLOUR_MAP, ()),
    )
    compression = one(COMPRESSION, _UNCOMPRESSED)
    is_palette = page.photometric == PALETTE
    supported = {
        f"compression {compression}": compression in _COMPRESSIONS,
        f"interpretation {page.photometric}": page.photometric in _SAMPLES,
        f"{page.samples} samples per pixel": page.samples in _SAMPLES.get(page.photometric, (page.samples,)),
        f"{page.bits} bits": page.bits in (8, 16)
        or (page.bits == 1 and page.samples == 1 and not is_palette),
        "a palette of 16 bits": not is_palette or page.bits != 16,
        "values that are not unsigned integers": one(SAMPLE_FORMAT, 1) == 1,
        "separate planes": page.samples == 1 or one(PLANES, 1) == 1,
        "reversed bits": one(FILL_ORDER, 1) == 1,
        f"orientation {page.orientation}": 1 <= page.orientation <= 8,
        "16 bits and transparency": page.bits != 16 or page.samples in (1, 3),
    }
    refused = [kind for kind, is_supported in supported.items() if not is_supported]
    if refused:
        raise ImageError(
            "A TIFF must be grey, palette or RGB, with 8 or 16 bits, uncompressed or compressed by LZW, "
            f"Deflate or PackBits. Received: {name} with {', '.join(refused)}. Convert it to grey PNG."
        )
    if is_palette and len(page.colour_map) != 3 * 256:
        raise damaged_image(name, "a TIFF without a palette of 256 colours")
    if page.height and page.width:
        _check_data(contents, name, page, compression, fields)
    return page


def _check_directory(contents: bytes, name: str) -> None:
    """Refuses several pages, and a directory that tifffile would read in part or at a great cost."""
    order = "<" if contents[:2] == b"II" else ">"
    truncated = damaged_image(name, f"a TIFF truncated after {len(contents):,} bytes")
    try:
        (start,) = struct.unpack_from(f"{order}I", contents, 4)
        (count,) = struct.unpack_from(f"{order}H", contents, start)
        (following,) = struct.unpack_from(f"{order}I", contents, start + 2 + 12 * count)
    except struct.error as error:
        raise truncated from error
    tags, listed = set(), 0
    entries = contents[start + 2 : start + 2 + 12 * count]
    for tag, kind, values, position in struct.iter_unpack(f"{order}HHII", entries):
        size = _TYPE_BYTES.get(kind, 1) * values
        if size > 4 and position + size > len(contents):
            raise truncated
        listed += values if kind in _LISTS else 0
        if tag in tags:
            raise damaged_image(name, f"a TIFF with field {tag} twice")
        is_wrong = tag in _TAGS and (kind not in _WHOLE_NUMBERS or values == 0)
        # Two fields of the image may be long, and others may lie on the same bytes.
        if is_wrong or (kind in _LISTS and values > _MOST_VALUES) or listed > 3 * _MOST_VALUES:
            raise damaged_image(name, f"a TIFF whose field {tag} has {values:,} values of type {kind}")
        tags.add(tag)
    if following:
        raise ImageError(
            f"An image file must hold one image. Received: {name}, a TIFF of several pages. "
            "Save the page that you need as a file."
        )


def _read_fields(contents: bytes, name: str) -> dict[int, tuple[int, ...]]:
    """Returns the values of the fields that this module uses, by their tags."""
    import tifffile

    stream = io.BytesIO(contents)
    try:
        # tifffile would search the variants of TIFF that some microscopes write for further pages.
        with tifffile.TiffFile(stream, is_lsm=False, is_ndpi=False, is_scanimage=False) as file:
            tags = [tag for tag in file.pages.first.tags if tag.code in _TAGS]
            return {tag.code: _integers(tag.value) for tag in tags}
    except Exception as error:
        # tifffile has no one error for damaged files: nearly any exception may arise.
        raise damaged_image(name, f"a TIFF that cannot be read ({type(error).__name__}: {error})") from error


def _integers(value: int | bytes | tuple[int, ...] | np.ndarray) -> tuple[int, ...]:
    """Returns the values of a field, which tifffile represents in several types."""
    if isinstance(value, np.ndarray):
        return tuple(value.ravel().tolist())
    return (int(value),) if isinstance(value, int) else tuple(map(int, value))


def _one_value(fields: dict[int, tuple[int, ...]], tag: int, default: int | None, name: str) -> int:
    """Returns the value of a field that holds one, or the same one for each sample."""
    values = fields.get(tag, (default,))
    if values[0] is None or len(set(values)) != 1:
        raise damaged_image(name, f"a TIFF whose field {tag} is missing or contradicts itself")
    return values[0]


def _check_data(
    contents: bytes, name: str, page: Page, compression: int, fields: dict[int, tuple[int, ...]]
) -> None:
    """Refuses strips or tiles that are missing, too short, or partly beyond the file's end."""
    is_tiled = TILE_OFFSETS in fields or TILE_WIDTH in fields
    if is_tiled:
        rows, columns = (_one_value(fields, tag, None, name) for tag in (TILE_HEIGHT, TILE_WIDTH))
        offsets, lengths = fields.get(TILE_OFFSETS, ()), fields.get(TILE_BYTES, ())
    else:
        rows = min(_one_value(fields, ROWS_PER_STRIP, page.height, name), page.height)
        columns = page.width
        offsets, lengths = fields.get(STRIP_OFFSETS, ()), fields.get(STRIP_BYTES, ())
    if not rows or not columns:
        raise damaged_image(name, "a TIFF whose strips or tiles have no pixels")
    # A tile far larger than its image would be decoded as a whole.
    if is_tiled and (rows > page.height + 1024 or columns > page.width + 1024):
        raise damaged_image(name, f"a TIFF of tiles of {rows:,} x {columns:,} pixels")
    parts = math.ceil(page.height / rows) * math.ceil(page.width / columns)
    if not len(offsets) == len(lengths) == parts:
        raise damaged_image(name, f"a TIFF with {len(offsets)} of {parts} strips or tiles")
    # Programs may write equal parts once. Many parts on the same bytes take time as the square of the file.
    if sum(lengths) > _MOST_OVERLAP * len(contents):
        raise damaged_image(name, f"a TIFF whose {parts:,} strips or tiles lie on the same bytes")
    row_bytes = math.ceil(columns * page.samples * page.bits / 8)
    for index, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        part_rows = rows if is_tiled else min(rows, page.height - rows * index)
        is_short = compression == _UNCOMPRESSED and length < part_rows * row_bytes
        if not length or is_short or offset < 8 or offset + length > len(contents):
            raise damaged_image(name, f"a TIFF truncated after {len(contents):,} bytes")
        if compression in (_DEFLATE, _OLD_DEFLATE):
            _check_deflated(contents[offset : offset + length], part_rows * row_bytes, name)


def _check_deflated(part: bytes, size: int, name: str) -> None:
    """Refuses a damaged strip or tile by its checksum, which libtiff ignores."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(part, size + 1)
    except zlib.error as error:
        raise damaged_image(name, f"a TIFF whose compressed data are damaged ({error})") from error
    if len(inflated) < size or not inflater.eof:
        raise damaged_image(name, "a TIFF whose compressed data contradict its header")
