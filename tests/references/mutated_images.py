"""Radiographs in every supported encoding, and random damage of files.

Run as a program, it reads the damaged files of a folder in a separate process, so that a crash of a C
decoder does not end the tests; the last printed line names the file.
"""

import io
import pathlib
import random
import sys
import time
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 61, 83
# A damaged header may declare more pixels than the original; a decoder may be slow, but must not hang.
MOST_PIXELS = 1_000_000
SECONDS = 5.0


def pixels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns grey uint8, 12-bit grey uint16 and colour uint8, noisy enough to reveal any truncation."""
    noise = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    colour = cv2.addWeighted(cv2.GaussianBlur(noise, (0, 0), 2), 0.9, noise, 0.1, 0)
    return colour[..., 0].copy(), colour[..., 0].astype(np.uint16) * 16 + 7, colour


def seeds() -> dict[str, bytes]:
    """Returns undamaged files by name."""
    import imagecodecs
    from dicom_reference import written
    from PIL import Image

    grey, deep, colour = pixels()

    def encoded(image: np.ndarray, kind: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, kind, **options)
        return stream.getvalue()

    cmyk = io.BytesIO()
    Image.fromarray(colour).convert("CMYK").save(cmyk, "JPEG", quality=90)
    jpeg = "1.2.840.10008.1.2.4."
    files = {
        "png_grey": encoded(grey, "PNG"),
        "png_deep": encoded(deep, "PNG"),
        "png_colour": encoded(colour, "PNG"),
        "jpeg_grey": encoded(grey, "JPEG", quality=90),
        "jpeg_colour": encoded(colour, "JPEG", quality=90),
        "jpeg_progressive": encoded(colour, "JPEG", quality=90, progressive=True),
        "jpeg_cmyk": cmyk.getvalue(),
        "bmp_grey": encoded(grey, "BMP"),
        "bmp_colour": encoded(colour, "BMP"),
        "dicom_plain": written(deep),
        "dicom_deflated": written(deep, syntax="1.2.840.10008.1.2.1.99"),
        "dicom_big": written(deep, syntax="1.2.840.10008.1.2.2", WindowCenter=2048, WindowWidth=2000),
        "dicom_baseline": written(grey, syntax=jpeg + "50", frame=encoded(grey, "JPEG", quality=90)),
        "dicom_extended": written(
            deep, syntax=jpeg + "51", frame=imagecodecs.jpeg_encode(deep, level=95, bitspersample=12)
        ),
        "dicom_lossless": written(
            deep, syntax=jpeg + "70", frame=imagecodecs.jpeg_encode(deep, lossless=True, bitspersample=12)
        ),
        "dicom_jpeg_ls": written(deep, syntax=jpeg + "80", frame=imagecodecs.jpegls_encode(deep)),
        "dicom_jpeg_2000": written(
            deep,
            syntax=jpeg + "90",
            frame=imagecodecs.jpeg2k_encode(deep, codecformat="j2k", reversible=True),
        ),
        "dicom_rle": written(deep, syntax="1.2.840.10008.1.2.5", frame=run_length(deep)),
    }
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        files[f"{compression}_grey"] = encoded(grey, "TIFF", compression=compression)
        files[f"{compression}_deep"] = encoded(deep, "TIFF", compression=compression)
        files[f"{compression}_colour"] = encoded(colour, "TIFF", compression=compression)
    return files


def run_length(values: np.ndarray) -> bytes:
    """Encodes one 16-bit frame with RLE (PS3.5, annex G): one literal run per row, upper bytes first."""
    parts = b"".join(
        b"".join(bytes([row.shape[0] - 1]) + row.tobytes() for row in plane)
        for plane in ((values >> 8).astype(np.uint8), (values & 255).astype(np.uint8))
    )
    half = len(parts) // 2
    header = np.array([2, 64, 64 + half] + [0] * 13, "<u4").tobytes()
    return header + parts + b"\0" * (len(parts) % 2)


def broken(contents: bytes, rng: random.Random) -> bytes:
    """Changes, removes, inserts or copies bytes, mostly in the header; makes numbers extreme."""
    data = bytearray(contents)
    reach = min(len(data), 600) if rng.random() < 0.6 else len(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(max(1, min(reach, len(data))))
        way = rng.randrange(6)
        if way == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif way == 1:
            data[place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif way == 2:
            size = rng.choice((2, 4))
            number = rng.choice((0, 1, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 20_000, 60_000))
            data[place : place + size] = (number & (256**size - 1)).to_bytes(
                size, rng.choice(("big", "little"))
            )
        elif way == 3:
            del data[place : place + rng.choice((1, 2, 7, 100))]
        elif way == 4:
            data[place:place] = rng.randbytes(rng.choice((1, 2, 7, 100)))
        else:
            other, length = rng.randrange(len(data)), rng.choice((1, 4, 50))
            data[place : place + length] = data[other : other + length]
        if not data:
            return b"\0"
    return bytes(data)


def read_all(folder: pathlib.Path | str) -> None:
    """Reads every file of a folder, and prints each name before it reads the file."""
    from semenet.data.images.errors import ImageError
    from semenet.data.images.reading import read_image

    for path in sorted(pathlib.Path(folder).iterdir()):
        print(path, flush=True)
        began = time.perf_counter()
        try:
            image = read_image(path, max_pixels=MOST_PIXELS)
        except ImageError:
            image = None
        taken = time.perf_counter() - began
        assert taken < SECONDS, f"{taken:.1f} s"
        if image is not None:
            assert image.dtype == np.uint8
            assert image.ndim == 2
            assert 0 < image.size <= MOST_PIXELS


def write_broken(folder: pathlib.Path | str, count: int, seed: int) -> None:
    """Writes `count` damaged files into a folder, named by their number and kind."""
    rng, files = random.Random(seed), list(seeds().items())
    for number in range(count):
        kind, contents = files[number % len(files)]
        (pathlib.Path(folder) / f"{number:06d}_{kind}").write_bytes(broken(contents, rng))


if __name__ == "__main__":
    read_all(sys.argv[1])
