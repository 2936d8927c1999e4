"""The compressed picture inside a DICOM file: JPEG, JPEG-LS or JPEG 2000, checked and decoded.

The C decoders trust what a header says: they would make room for a picture of any size, and some
crash on a header that contradicts itself. So headers are read and held against the DICOM attributes
first. A decoder that fills missing data with grey is found out by a second look.
"""

import struct
from typing import NamedTuple

import numpy as np

from semenet.data.images.jpeg_png import JPEG_END, SURPLUS, ImageError, check_restarts, damaged

JPEG_2000_START = b"\xff\x4f\xff\x51"
JPEG_START = b"\xff\xd8"

HUFFMAN, START_OF_SCAN, RESTART = 0xC4, 0xDA, 0xDD
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
# Frames that exist (ITU-T T.81, table B.1; T.87) and that DICOM has transfer syntaxes for.
FRAMES = (BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS)
# Segments that may stand before the picture's data: tables, application data, comments, JPEG-LS presets.
SEGMENTS = (HUFFMAN, 0xDB, RESTART, 0xF8, 0xFE, *range(0xE0, 0xF0))
# More tiles than this are a mistake or an attack: each costs memory.
MOST_TILES = 65_535


class Picture(NamedTuple):
    """What a codestream says of itself."""

    kind: str
    rows: int
    columns: int
    samples: int
    bits: int
    predictor: int
    is_luma_first: bool | None


def decode_frame(frame, kinds, shape, name):
    """Checks a frame's own header against the DICOM attributes, and decodes it.

    Args:
        frame: the bytes of one frame, its padding included.
        kinds: what the transfer syntax allows: of "jpeg", "lossless jpeg", "jpeg-ls", "jpeg 2000".
        shape: (rows, columns, samples a pixel, bits allocated) by the DICOM attributes.
        name: what errors call the file.

    Returns:
        (values, is_luma_first): whole numbers (rows, columns) or (rows, columns, 3), and whether three
        samples are YCbCr (True), RGB (False), or as the DICOM attributes say (None).

    Raises:
        ImageError: the header contradicts the attributes or itself, the data are damaged or end
            early, or the decoder is not installed.
    """
    # A frame is padded to an even length, by what the encoder likes.
    frame = frame.rstrip(b"\x00\xff")
    if not frame.endswith(JPEG_END):
        raise damaged(name, "a DICOM file whose compressed picture breaks off")
    start = frame.find(JPEG_2000_START)
    picture = _jpeg_2000(frame, start, name) if start >= 0 else _jpeg(frame, name)
    rows, columns, samples, allocated = shape
    declared = (picture.rows, picture.columns, picture.samples)
    if picture.kind not in kinds or declared != (rows, columns, samples) or picture.bits > allocated:
        raise damaged(
            name,
            f"a DICOM file of {rows} x {columns} x {samples} that holds a {picture.kind} picture of "
            f"{picture.rows} x {picture.columns} x {picture.samples} with {picture.bits} bits",
        )
    if picture.kind.endswith("jpeg"):
        check_restarts(frame, name)
    values = _decode(frame, picture, name)
    if values.shape != ((rows, columns) if samples == 1 else (rows, columns, samples)):
        raise damaged(name, "a DICOM file whose picture has another size than it says")
    if picture.kind.endswith("jpeg") and _may_be_filled(values, picture):
        # To a complete picture these bytes are surplus.
        padded = frame[: -len(JPEG_END)] + SURPLUS + JPEG_END
        if not np.array_equal(_decode(padded, picture, name), values):
            raise damaged(name, "a DICOM file whose picture's data end before the picture does")
    return values, picture.is_luma_first


def _may_be_filled(values, picture):
    """A decoder continues an early end with constant values, unless it predicts from the row above."""
    tail = values[-1, -8:]
    return picture.predictor > 1 or bool((tail == tail[-1]).all())


def _decode(frame, picture, name):
    try:
        import imagecodecs

        if picture.kind == "jpeg 2000":
            return imagecodecs.jpeg2k_decode(frame)
        if picture.kind == "jpeg-ls":
            return imagecodecs.jpegls_decode(frame)
        # The same space in and out: no conversion.
        space = {"colorspace": "YCBCR", "outcolorspace": "YCBCR"} if picture.samples == 3 else {}
        return imagecodecs.jpeg_decode(frame, **space)
    except ImportError as error:
        raise ImageError(
            f"Compressed DICOM needs the package imagecodecs. Received: {name}, which holds a "
            f"{picture.kind} picture. Run: pip install imagecodecs"
        ) from error
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise damaged(name, f"a DICOM file whose {picture.kind} picture is damaged ({error})") from error


def _jpeg_2000(frame, start, name):
    """Reads the SIZ segment (ITU-T T.800, A.5.1)."""
    broken = damaged(name, "a DICOM file whose JPEG 2000 header is damaged")
    if len(frame) < start + 42:
        raise broken
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top = struct.unpack_from(
        ">8I", frame, start + 8
    )
    (samples,) = struct.unpack_from(">H", frame, start + 40)
    parts = frame[start + 42 : start + 42 + 3 * samples]
    # Each component: its bits less one (the highest bit is its sign), and its steps, here 1 and 1.
    if not samples or len(parts) < 3 * samples or parts != (parts[:1] + b"\x01\x01") * samples:
        raise broken
    if right <= left or bottom <= top or not tile_width or not tile_height:
        raise broken
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if not 0 < tiles <= MOST_TILES:
        raise broken
    return Picture("jpeg 2000", bottom - top, right - left, samples, (parts[0] & 0x7F) + 1, 0, None)


def _jpeg(frame, name):
    """Walks the segments to the picture's data (ITU-T T.81, annex B), and checks what decoders trust."""
    broken = damaged(name, "a DICOM file whose JPEG header is damaged")
    if not frame.startswith(JPEG_START):
        raise damaged(name, f"a DICOM file whose picture begins with {frame[:4]!r}")
    position, kind, head, is_luma_first = 2, None, b"", None
    while True:
        if position + 4 > len(frame) or frame[position] != 0xFF:
            raise broken
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker == 0xFF:
            position += 1
            continue
        segment = frame[position + 4 : position + 2 + length]
        if len(segment) != length - 2:
            raise broken
        if marker in FRAMES and kind is None:
            kind, head = marker, segment
            if len(head) < 6 or len(head) != 6 + 3 * head[5]:
                raise broken
        elif marker == HUFFMAN:
            _check_huffman(segment, broken)
        elif marker == START_OF_SCAN and kind is not None:
            break
        elif marker == 0xEE and segment.startswith(b"Adobe") and len(segment) >= 12:
            is_luma_first = segment[11] == 1
        elif marker not in SEGMENTS:
            raise broken
        position += 2 + length
    bits, rows, columns, samples = struct.unpack(">BHHB", head[:6])
    in_scan = segment[0] if segment else 0
    if len(segment) != 4 + 2 * in_scan or not 1 <= in_scan <= samples:
        raise broken
    steps, (first, _, shift) = head[7::3], segment[-3:]
    if any(not 1 <= step >> 4 <= 4 or not 1 <= step & 15 <= 4 for step in steps):
        raise broken
    if kind in (LOSSLESS, JPEG_LS) and set(steps) != {0x11}:
        raise broken
    if kind == LOSSLESS and (in_scan != samples or not 1 <= first <= 7 or shift & 15 >= bits):
        raise broken
    names = {LOSSLESS: "lossless jpeg", JPEG_LS: "jpeg-ls"}
    predictor = first if kind == LOSSLESS else 0
    return Picture(names.get(kind, "jpeg"), rows, columns, samples, bits, predictor, is_luma_first)


def _check_huffman(segment, broken):
    """Refuses Huffman tables that hold more codes than their lengths allow."""
    position = 0
    while position < len(segment):
        counts = segment[position + 1 : position + 17]
        position += 17 + sum(counts)
        used = sum(count << (16 - bits) for bits, count in enumerate(counts, start=1))
        if len(counts) < 16 or position > len(segment) or used > 1 << 16:
            raise broken
