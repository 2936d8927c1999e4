"""Checks and decodes the compressed frame of a DICOM file: JPEG, JPEG-LS or JPEG 2000.

The C decoders trust the header: they allocate memory for a frame of any declared size, and some crash on a
header that contradicts itself. So headers are compared with the DICOM attributes first. Where a decoder may
have filled missing data with grey, the frame is decoded a second time with surplus bytes.
"""

import struct
from typing import NamedTuple

import numpy as np

from semenet.data.images.decoded_image import MAX_PIXELS
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.jpeg_completeness import check_restarts, with_surplus
from semenet.data.images.formats.jpeg_limits import check_work, count_scans
from semenet.data.images.formats.jpeg_segments import (
    END,
    HUFFMAN_TABLES,
    QUANTIZATION_TABLES,
    RESTART_INTERVAL,
    START,
    START_OF_SCAN,
    segments,
)

JPEG_2000_START = b"\xff\x4f\xff\x51"

_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _JPEG_LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
# The frame headers (ITU-T T.81, table B.1; T.87) for which DICOM has transfer syntaxes.
_FRAME_HEADERS = (_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _JPEG_LS)
_JPEG_LS_PRESETS, _COMMENT, _APPLICATION_DATA, _ADOBE = 0xF8, 0xFE, range(0xE0, 0xF0), 0xEE
# Segments that may precede the compressed data.
_HEADER_SEGMENTS = (
    *(HUFFMAN_TABLES, QUANTIZATION_TABLES, RESTART_INTERVAL, _JPEG_LS_PRESETS, _COMMENT),
    *_APPLICATION_DATA,
)
# More tiles than this are a mistake or an attack: each needs memory.
_MOST_TILES = 65_535
# Encoders write 1 to some dozens of quality layers.
_MOST_LAYERS = 256
_CODING_STYLE, _TILE_PART = 0x52, 0x90


class Codestream(NamedTuple):
    """The header of a compressed frame.

    Attributes:
        kind: "jpeg", "lossless jpeg", "jpeg-ls" or "jpeg 2000".
        rows: the height in pixels.
        columns: the width in pixels.
        samples: samples per pixel.
        bits: bits per sample.
        predictor: the predictor of lossless JPEG, 1 to 7; 0 for the others.
        is_luma_first: whether three samples are YCbCr (True) or RGB (False); None where the frame does not
            declare it.
    """

    kind: str
    rows: int
    columns: int
    samples: int
    bits: int
    predictor: int
    is_luma_first: bool | None


def decode_frame(
    frame: bytes, kinds: tuple[str, ...], shape: tuple[int, int, int, int], name: str
) -> tuple[np.ndarray, bool | None]:
    """Compares a frame's own header with the DICOM attributes, and decodes the frame.

    Args:
        frame: the bytes of one frame, with its padding.
        kinds: what the transfer syntax allows: of "jpeg", "lossless jpeg", "jpeg-ls", "jpeg 2000".
        shape: (rows, columns, samples per pixel, bits allocated) by the DICOM attributes.
        name: the file's name in error messages.

    Returns:
        (values, is_luma_first): integers `(rows, columns)` or `(rows, columns, 3)`, and whether three samples
        are YCbCr (True), RGB (False), or as the DICOM attributes declare (None).

    Raises:
        ImageError: the header contradicts the attributes or itself, the data are damaged or end early, or the
            decoder is not installed.
    """
    # A frame is padded to an even length, with whatever bytes the encoder chooses.
    frame = frame.rstrip(b"\x00\xff")
    if not frame.endswith(END):
        raise damaged_image(name, "a DICOM file whose compressed image is truncated")
    start = frame.find(JPEG_2000_START)
    header = _jpeg_2000_header(frame, start, name) if start >= 0 else _jpeg_header(frame, name)
    rows, columns, samples, allocated = shape
    declared = (header.rows, header.columns, header.samples)
    if header.kind not in kinds or declared != (rows, columns, samples) or header.bits > allocated:
        raise damaged_image(
            name,
            f"a DICOM file of {rows} x {columns} x {samples} that holds a {header.kind} image of "
            f"{header.rows} x {header.columns} x {header.samples} with {header.bits} bits",
        )
    is_jpeg = header.kind in ("jpeg", "lossless jpeg")
    if rows * columns * samples > MAX_PIXELS:
        # Decoders need four bytes or more for each sample.
        raise ImageError(
            f"A compressed DICOM image must have at most {MAX_PIXELS:,} samples. Received: {name} with "
            f"{rows:,} x {columns:,} x {samples}. Make the image smaller, or save it as grey."
        )
    if is_jpeg:
        check_work(count_scans(frame, name), rows * columns, len(frame), name)
        check_restarts(frame, name)
    values = _decode(frame, header, name)
    if values.shape != ((rows, columns) if samples == 1 else (rows, columns, samples)):
        raise damaged_image(name, "a DICOM file whose compressed image has another size than its header")
    may_end_early = is_jpeg and _may_be_filled(values, header)
    if may_end_early and not np.array_equal(_decode(with_surplus(frame), header, name), values):
        raise damaged_image(name, "a DICOM file whose compressed data end before the image is complete")
    return values, header.is_luma_first


def _may_be_filled(values: np.ndarray, header: Codestream) -> bool:
    """Returns whether the last values are constant, as a decoder fills missing data.

    Where it predicts from the row above, filled values need not be constant.
    """
    tail = values[-1, -8:]
    return header.predictor > 1 or bool((tail == tail[-1]).all())


def _decode(frame: bytes, header: Codestream, name: str) -> np.ndarray:
    try:
        import imagecodecs

        if header.kind == "jpeg 2000":
            return imagecodecs.jpeg2k_decode(frame)
        if header.kind == "jpeg-ls":
            return imagecodecs.jpegls_decode(frame)
        # The same colour space in and out: no conversion.
        space = "YCBCR" if header.samples == 3 else None
        return imagecodecs.jpeg_decode(frame, colorspace=space, outcolorspace=space)
    except ImportError as error:
        raise ImageError(
            f"Compressed DICOM needs the package imagecodecs. Received: {name}, which holds a "
            f"{header.kind} image. Run: pip install imagecodecs"
        ) from error
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise damaged_image(name, f"a DICOM file whose {header.kind} image is damaged ({error})") from error


def _jpeg_2000_header(frame: bytes, start: int, name: str) -> Codestream:
    """Reads the SIZ segment (ITU-T T.800, A.5.1)."""
    damaged = damaged_image(name, "a DICOM file whose JPEG 2000 header is damaged")
    if len(frame) < start + 42:
        raise damaged
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top = struct.unpack_from(
        ">8I", frame, start + 8
    )
    (samples,) = struct.unpack_from(">H", frame, start + 40)
    components = frame[start + 42 : start + 42 + 3 * samples]
    # Each component: its bits minus one (the highest bit is its sign), and its sampling steps, here 1 and 1.
    same_components = (components[:1] + b"\x01\x01") * samples
    if not samples or len(components) < 3 * samples or components != same_components:
        raise damaged
    if right <= left or bottom <= top or not tile_width or not tile_height:
        raise damaged
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if not 0 < tiles <= _MOST_TILES:
        raise damaged
    _check_layers(frame, start, name)
    bits = (components[0] & 0x7F) + 1
    return Codestream("jpeg 2000", bottom - top, right - left, samples, bits, 0, None)


def _check_layers(frame: bytes, start: int, name: str) -> None:
    """Refuses a codestream of more quality layers than encoders write (T.800, A.6.1): each is a pass."""
    position = start + 2
    while position + 10 <= len(frame) and frame[position] == 0xFF and frame[position + 1] != _TILE_PART:
        if frame[position + 1] == _CODING_STYLE:
            layers = int.from_bytes(frame[position + 6 : position + 8], "big")
            if layers > _MOST_LAYERS:
                raise damaged_image(name, f"a DICOM file whose JPEG 2000 image has {layers:,} layers")
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")


def _jpeg_header(frame: bytes, name: str) -> Codestream:
    """Reads the segments before the compressed data, and checks what decoders trust."""
    damaged = damaged_image(name, "a DICOM file whose JPEG header is damaged")
    if not frame.startswith(START):
        raise damaged_image(name, f"a DICOM file whose compressed image begins with {frame[:4]!r}")
    kind, header, is_luma_first = None, b"", None
    for segment in segments(frame):
        marker, payload = segment.marker, segment.payload
        if not segment.is_complete:
            raise damaged
        if marker in _FRAME_HEADERS and kind is None:
            kind, header = marker, payload
            if len(header) < 6 or len(header) != 6 + 3 * header[5]:
                raise damaged
        elif marker == START_OF_SCAN and kind is not None:
            return _checked_header(kind, header, payload, is_luma_first, damaged)
        elif marker == HUFFMAN_TABLES:
            _check_huffman_tables(payload, damaged)
        elif marker == _ADOBE and payload.startswith(b"Adobe") and len(payload) >= 12:
            is_luma_first = payload[11] == 1
        elif marker not in _HEADER_SEGMENTS:
            raise damaged
    raise damaged


def _checked_header(
    kind: int, header: bytes, scan: bytes, is_luma_first: bool | None, damaged: ImageError
) -> Codestream:
    """Checks a frame header against the header of its first scan."""
    bits, rows, columns, samples = struct.unpack(">BHHB", header[:6])
    in_scan = scan[0] if scan else 0
    if len(scan) != 4 + 2 * in_scan or not 1 <= in_scan <= samples:
        raise damaged
    sampling, (first, _, shift) = header[7::3], scan[-3:]
    if any(not 1 <= factors >> 4 <= 4 or not 1 <= factors & 15 <= 4 for factors in sampling):
        raise damaged
    if kind in (_LOSSLESS, _JPEG_LS) and set(sampling) != {0x11}:
        raise damaged
    if kind == _LOSSLESS and (in_scan != samples or not 1 <= first <= 7 or shift & 15 >= bits):
        raise damaged
    kinds = {_LOSSLESS: "lossless jpeg", _JPEG_LS: "jpeg-ls"}
    predictor = first if kind == _LOSSLESS else 0
    return Codestream(kinds.get(kind, "jpeg"), rows, columns, samples, bits, predictor, is_luma_first)


def _check_huffman_tables(payload: bytes, damaged: ImageError) -> None:
    """Refuses Huffman tables that hold more codes than their lengths allow."""
    position = 0
    while position < len(payload):
        counts = payload[position + 1 : position + 17]
        position += 17 + sum(counts)
        used = sum(count << (16 - bits) for bits, count in enumerate(counts, start=1))
        if len(counts) < 16 or position > len(payload) or used > 1 << 16:
            raise damaged
