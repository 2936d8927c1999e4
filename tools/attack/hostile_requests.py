"""Requests that were made to stop, fool or fill a server: small bodies with much work behind them."""

import base64
import dataclasses
import io
import json
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless, generate_uid

SIDE = 10_000
_DICOM = ":predict_dicom"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclasses.dataclass(frozen=True)
class Attack:
    """Requests that are sent at the same time.

    Attributes:
        name: what is tried, in words.
        body: makes the body.
        statuses: the statuses that answer it rightly.
        suffix: the end of the address.
        headers: further headers.
        clients: how many send it at once.
        check: whether the JSON of an answer is right.
    """

    name: str
    body: Callable[[], bytes]
    statuses: tuple[int, ...]
    suffix: str = ":predict"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    clients: int = 1
    check: Callable[[dict], bool] = lambda answer: True


def attacks(image: np.ndarray) -> list[Attack]:
    """Returns all attacks.

    Args:
        image: uint8 `(H, W)`, a radiograph.
    """
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    cut = jpeg[: len(jpeg) // 2] + b"\xff\xd9"
    many = 1_100_000
    return [
        Attack(
            "text among 100,000 numbers",
            lambda: _pixels(b'"' + b"A" * 400_000 + b'"' + b",1" * 100_000),
            (400,),
        ),
        Attack(
            "the same as files", lambda: _instances(b'"' + b"A" * 400_000 + b'"' + b",1" * 100_000), (400,)
        ),
        Attack("10 million numbers in a row", lambda: _pixels(_rows(1, 10_000_000)), (400,)),
        Attack("an image of 3,162 x 3,162 numbers", lambda: _pixels(_rows(3162, 3162)), (200,)),
        Attack(
            "a PNG of 1,000,000 x 1 pixels",
            lambda: _files([_png(1_000_000, columns=1)]),
            (200,),
            check=_is_bad,
        ),
        Attack(
            "4 clients with 8 million fractions each",
            lambda: _pixels(b"[[" + b"1.5," * (8_000_000 - 1) + b"1]]"),
            (400, 503, 504),
            clients=4,
        ),
        Attack("16 million numbers", lambda: _pixels(b"[[" + b"1," * (16_000_000 - 1) + b"1]]"), (400,)),
        Attack("1.1 million empty lists", lambda: _pixels(b"[]," * many + b"[]"), (400,)),
        Attack("1.1 million objects", lambda: _instances(b'{"":0},' * many + b"{}"), (400,)),
        Attack("1.1 million strings", lambda: _instances(b'"",' * many + b'""'), (400,)),
        Attack("a million lists of one number", lambda: _pixels(b"[[1]]," * 330_000 + b"[[1]]"), (400,)),
        Attack("nested 100,000 deep", lambda: b"[" * 100_000, (400,)),
        Attack("nested 1,000 deep", lambda: _pixels(b"[" * 1000 + b"]" * 1000), (400,)),
        Attack("a number of 30 MB", lambda: _pixels(b"[[" + b"1" * 30_000_000 + b"]]"), (400,)),
        Attack("base64 in a plain string", lambda: _json([base64.b64encode(jpeg).decode()]), (400,)),
        Attack("16 PNGs of 10,000 x 10,000 pixels", lambda: _files([_png(SIDE)] * 16), (400,)),
        Attack("4 PNGs of 10,000 x 10,000 pixels", lambda: _files([_png(SIDE)] * 4), (200,)),
        Attack("8 clients with such a PNG each", lambda: _files([_png(SIDE)]), (200, 503, 504), clients=8),
        Attack("a PNG that declares 2^31 x 2^31", lambda: _files([_png(9, 1 << 31)]), (200,), check=_is_bad),
        Attack("a cut JPEG with an end marker", lambda: _files([cut]), (200,), check=_is_bad),
        Attack(
            "a JPEG of 65,000 empty scans", lambda: _files([_scans(image, 65_000)]), (200,), check=_is_bad
        ),
        Attack(
            "8 clients with such a JPEG each",
            lambda: _files([_scans(image, 65_000)]),
            (200,),
            clients=8,
            check=_is_bad,
        ),
        Attack(
            "a compressed body",
            lambda: zlib.compress(b" " * 10**7),
            (415,),
            headers={"Content-Encoding": "gzip"},
        ),
        Attack("33 MB", lambda: b" " * (33 << 20), (413,)),
        Attack(
            "another host (DNS rebinding)",
            lambda: _files([jpeg]),
            (403,),
            headers={"Host": "attacker.example"},
        ),
        Attack(
            "another site's page",
            lambda: _files([jpeg]),
            (403,),
            headers={"Origin": "https://attacker.example"},
        ),
        Attack("RLE DICOM that inflates", _rle_bomb, (400,), _DICOM),
        Attack("a JPEG of 65,000 scans in DICOM", lambda: _jpeg_dicom(_scans(image, 65_000)), (400,), _DICOM),
        Attack("a DICOM sequence of a million empty items", _empty_items, (400,), _DICOM),
        Attack("a form of 300,000 parts", _form, (400,), _DICOM, {"Content-Type": _FORM_TYPE}),
    ]


def mutated(image: np.ndarray, count: int) -> list[bytes]:
    """Returns the bodies of requests with one damaged file each: bytes replaced, left out or repeated."""
    random = np.random.default_rng(0)
    files = [cv2.imencode(kind, image)[1].tobytes() for kind in (".png", ".jpg")]
    files.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    bodies = []
    for number in range(count):
        contents = bytearray(files[number % len(files)])
        for _ in range(random.integers(1, 20)):
            contents[random.integers(len(contents))] = random.integers(256)
        start, end = sorted(random.integers(0, len(contents), 2))
        contents = [contents, contents[:start] + contents[end:], contents + contents[start:]][number // 3 % 3]
        bodies.append(_files([bytes(contents)]))
    return bodies


def good_request(image: np.ndarray) -> bytes:
    """Returns the body of a request with one whole file."""
    return _files([cv2.imencode(".png", image)[1].tobytes()])


def _is_bad(answer: dict) -> bool:
    return [row["error_code"] for row in answer["predictions"]] == [1]


def _json(instances: list) -> bytes:
    return json.dumps({"instances": instances}).encode()


def _files(contents: list[bytes]) -> bytes:
    return _json([{"b64": base64.b64encode(one).decode()} for one in contents])


def _instances(text: bytes) -> bytes:
    return b'{"instances": [' + text + b"]}"


def _pixels(text: bytes) -> bytes:
    return b'{"signature_name": "predict_pixels", "instances": [' + text + b"]}"


def _rows(height: int, width: int) -> bytes:
    row = b"[" + b"1," * (width - 1) + b"1]"
    return b"[" + b",".join([row] * height) + b"]"


def _png(side: int, declared: int | None = None, columns: int | None = None) -> bytes:
    """Returns a black PNG, a thousandth of its pixels in size."""
    size = struct.pack(">II", *([columns, side] if columns else [declared or side] * 2))
    packed = zlib.compress(bytes(((columns or side) + 1) * side), 9)
    chunks = ((b"IHDR", size + b"\x08\x00\x00\x00\x00"), (b"IDAT", packed), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _scans(image: np.ndarray, count: int) -> bytes:
    """Returns a progressive JPEG with many scans without data."""
    whole = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"
    return whole[:-2] + scan * count + whole[-2:]


def _dicom(rows: int, syntax: str = "1.2.840.10008.1.2.1") -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = _SECONDARY_CAPTURE, generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.Rows = dataset.Columns = rows
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    return dataset


def _written(dataset: FileDataset) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _rle_bomb() -> bytes:
    """A frame of 64 x 64 pixels whose RLE data has 200 MB."""
    dataset = _dicom(64, RLELossless)
    data = b"\x81\x00" * (200_000_000 // 128)
    dataset.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + data])
    dataset["PixelData"].is_undefined_length = True
    return _written(dataset)


def _jpeg_dicom(jpeg: bytes) -> bytes:
    dataset = _dicom(512, JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([jpeg])
    dataset["PixelData"].is_undefined_length = True
    return _written(dataset)


def _empty_items() -> bytes:
    dataset = _dicom(64)
    dataset.PixelData = bytes(64 * 64)
    whole = _written(dataset)
    # Referenced Study Sequence, group 0008, precedes what is needed. Without its length all must be read.
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 1_000_000
    end = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    sequence = struct.pack("<HH2sHI", 8, 0x1110, b"SQ", 0, 0xFFFFFFFF) + items + end
    position = whole.index(struct.pack("<HH2s", 0x28, 2, b"US"))
    return whole[:position] + sequence + whole[position:]


_FORM_TYPE = "multipart/form-data; boundary=x"


def _form() -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 300_000 + b"--x--\r\n"
