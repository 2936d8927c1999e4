"""Small files that would cost a reader minutes or gigabytes, one for each known way."""

import functools
import io
import struct
import zlib

import numpy as np
from dicom_reference import RAMP, table, written
from mutated_images import pixels, run_length
from PIL import Image

IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
BASELINE, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
MEGABYTE = 1 << 20


def jpeg(image: np.ndarray, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


@functools.cache
def progressive() -> bytes:
    """Returns a progressive JPEG of 1500 x 1500 pixels."""
    return jpeg(np.tile(pixels()[0], (25, 19))[:1500, :1500], progressive=True)


def many_scans(contents: bytes, count: int) -> bytes:
    """Adds empty scans: each is a pass over the image for a decoder."""
    end = contents.rindex(b"\xff\xd9")
    scan = contents.rindex(b"\xff\xda")
    (length,) = struct.unpack_from(">H", contents, scan + 2)
    return contents[:end] + contents[scan : scan + 2 + length] * count + contents[end:]


def jpeg_with(segment: bytes, count: int) -> bytes:
    """Adds segments behind the start of a JPEG."""
    contents = jpeg(pixels()[0])
    return contents[:2] + segment * count + contents[2:]


def many_restarts(count: int) -> bytes:
    """Adds restart markers behind the data of a JPEG."""
    contents = jpeg_with(b"\xff\xdd\x00\x04\x00\x01", 1)
    return contents[:-2] + b"\xff\xd0" * count + contents[-2:]


def declared_large(contents: bytes, side: int) -> bytes:
    """Declares another size in the frame header of a JPEG."""
    frame = max(contents.find(b"\xff\xc0"), contents.find(b"\xff\xc2"))
    return contents[: frame + 5] + struct.pack(">HH", side, side) + contents[frame + 9 :]


def png_of_chunks(count: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels()[0]).save(stream, "PNG")
    chunk = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    return stream.getvalue()[:33] + chunk * count + stream.getvalue()[33:]


def tiff(entries: list[tuple[int, int, int, int]], data: bytes) -> bytes:
    """Returns a little-endian TIFF of fields (tag, type, count, value) behind some data."""
    fields = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    directory = struct.pack("<H", len(entries)) + fields + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory


def overlapping_strips(count: int) -> bytes:
    """Returns a TIFF whose strips are all the same megabyte."""
    strip = zlib.compress(b"\0") + bytes(MEGABYTE)
    offsets = np.full(count, 8, "<u4").tobytes()
    lengths = np.full(count, len(strip), "<u4").tobytes()
    places = 8 + len(strip), 8 + len(strip) + len(offsets)
    short, long = 3, 4
    fields = [
        *((256, short, 1, 1), (257, long, 1, count), (258, short, 1, 8), (259, short, 1, 8)),
        *((262, short, 1, 1), (273, long, count, places[0]), (277, short, 1, 1), (278, short, 1, 1)),
        (279, long, count, places[1]),
    ]
    return tiff(fields, strip + offsets + lengths)


def overlapping_fields(count: int) -> bytes:
    """Returns a TIFF whose private fields are all the same million numbers."""
    numbers = bytes(4 * MEGABYTE)
    fields = [(256, 3, 1, 4), (257, 3, 1, 4), (262, 3, 1, 1)]
    return tiff(fields + [(40_000 + number, 4, MEGABYTE, 8) for number in range(count)], numbers)


def inserted(contents: bytes, element: bytes) -> bytes:
    """Inserts encoded elements before the pixels of an uncompressed DICOM file."""
    place = contents.rindex(b"\xe0\x7f\x10\x00")
    return contents[:place] + element + contents[place:]


def items(count: int, is_open: bool) -> bytes:
    """Returns a VOI LUT Sequence of empty items, of undefined length or not."""
    item = b"\xfe\xff\x00\xe0" + bytes(4)
    length = 0xFFFFFFFF if is_open else 8 * count
    end = b"\xfe\xff\xdd\xe0" + bytes(4) if is_open else b""
    return b"\x28\x00\x10\x30SQ\0\0" + struct.pack("<I", length) + item * count + end


def nested(depth: int) -> bytes:
    """Returns sequences within each other."""
    head = b"\x28\x00\x10\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    tail = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return head * depth + tail * depth


def long_window(size: int) -> bytes:
    """Returns a DICOM file with a window of millions of numbers, which implicit encoding allows."""
    value = b"1\\" * (size // 2)
    return inserted(written(syntax=IMPLICIT), b"\x28\x00\x50\x10" + struct.pack("<I", len(value)) + value)


def long_table(size: int) -> bytes:
    """Returns a DICOM file whose LUT has more data than entries can be."""
    entries = table([*range(4096)], bits=12)
    entries[0].LUTData = bytes(2 * size)
    entries[0]["LUTData"].VR = "OW"
    return written(VOILUTSequence=entries)


def layered(layers: int) -> bytes:
    """Returns a DICOM file with a JPEG 2000 image that declares many quality layers."""
    import imagecodecs

    frame = imagecodecs.jpeg2k_encode(pixels()[1], codecformat="j2k", reversible=True)
    place = frame.index(b"\xff\x52") + 6
    frame = frame[:place] + struct.pack(">H", layers) + frame[place + 2 :]
    return written(pixels()[1], syntax=JPEG_2000, frame=frame)


def inflating(size: int) -> bytes:
    """Returns a deflated DICOM file of a few pixels and many zeros."""
    contents = written(syntax=DEFLATED)
    start = 144 + struct.unpack_from("<I", contents, 140)[0]
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    private = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", size)
    parts = [deflater.compress(private)]
    parts += [deflater.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE)]
    parts += [deflater.compress(zlib.decompress(contents[start:], -15)), deflater.flush()]
    return contents[:start] + b"".join(parts)


def run_length_beyond(size: int) -> bytes:
    """Returns a DICOM file whose run lengths hold far more than its rows and columns."""
    frame = run_length(RAMP)
    return written(syntax=RLE, frame=frame + b"\x81\x00" * (size // 2))


def bombs() -> dict[str, bytes]:
    """Returns the files by what they exhaust. A reader refuses each, or reads it as quickly as others."""
    black = np.zeros((16, 16), np.uint8)
    exif = b"Exif\0\0II*\0"
    return {
        "jpeg_scans": many_scans(progressive(), 60_000),
        "jpeg_baseline_scans": many_scans(jpeg(pixels()[0]), 60_000),
        "jpeg_scans_within_the_limit": many_scans(progressive(), 85),
        "jpeg_segments": jpeg_with(b"\xff\xef\x00\x02", 2_000_000),
        "jpeg_fill": jpeg_with(b"\xff", 8_000_000),
        "jpeg_restarts": many_restarts(4_000_000),
        "jpeg_large": declared_large(jpeg(black), 10_000),
        "jpeg_progressive_large": declared_large(jpeg(black, progressive=True), 9_999),
        "jpeg_exif": jpeg_with(b"\xff\xe1\xff\xff" + (exif * 6600)[:65_533], 1),
        "png_chunks": png_of_chunks(700_000),
        "tiff_strips": overlapping_strips(100_000),
        "tiff_fields": overlapping_fields(20_000),
        "dicom_scans": written(
            np.zeros((1500, 1500), np.uint8), syntax=BASELINE, frame=many_scans(progressive(), 60_000)
        ),
        "dicom_run_lengths": run_length_beyond(8 * MEGABYTE),
        "dicom_items": inserted(written(), items(1_000_000, is_open=False)),
        "dicom_open_items": inserted(written(), items(1_000_000, is_open=True)),
        "dicom_nested": inserted(written(), nested(9_000)),
        "dicom_attributes": inserted(written(), b"\x29\x00\x10\x10LO\0\0" * 1_000_000),
        "dicom_window": long_window(20 * MEGABYTE),
        "dicom_table": long_table(20 * MEGABYTE),
        "dicom_layers": layered(65_535),
        "dicom_deflated": inflating(256 * MEGABYTE),
    }
