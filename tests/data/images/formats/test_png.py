"""PNG on the host and in the graph, compared with Pillow and files written by hand."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from image_files import COLOUR, GREY, NOISE, PALETTE, both, chunk, encoded, grey, png
from PIL import Image


@pytest.mark.parametrize(
    "image",
    [
        GREY,
        Image.fromarray(NOISE[..., 0]),
        GREY.convert("1"),
        Image.fromarray(NOISE[..., :2].copy(), "LA"),
        COLOUR,
        Image.fromarray(NOISE),
        COLOUR.quantize(16),
        COLOUR.quantize(200),
    ],
    ids=["grey", "noise", "one_bit", "grey_alpha", "colour", "colour_alpha", "palette_16", "palette"],
)
def test_png_becomes_grey_by_the_rule_in_both_readers(image):
    without_alpha = image.convert("RGB") if image.mode in ("P", "RGBA") else image
    if without_alpha.mode == "RGB":
        red, green, blue = np.moveaxis(np.asarray(without_alpha, np.int64), -1, 0)
        expected = (9797 * red + 19234 * green + 3737 * blue) >> 15
    else:
        expected = np.asarray(without_alpha.convert("LA"))[..., 0]
    np.testing.assert_array_equal(both(encoded(image, "PNG")), expected)


def test_grey_with_transparency_or_gamma_is_read_as_it_is_stored():
    grey_in_colour = GREY.convert("RGB")
    marked = encoded(grey_in_colour, "PNG", transparency=(1, 2, 3))
    marked = marked[:33] + chunk(b"gAMA", struct.pack(">I", 45455)) + marked[33:]
    np.testing.assert_array_equal(both(marked), np.asarray(GREY))
    # Colours of a declared gamma are mixed as light, by libpng, in both readers.
    coloured = encoded(COLOUR, "PNG")
    both(coloured[:33] + chunk(b"gAMA", struct.pack(">I", 45455)) + coloured[33:])


def test_interlaced_png_is_read():
    # One pixel is stored the same in every interlacing; only the header's last byte differs.
    plain = png(1, 1, zlib.compress(b"\0\x4d"))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1))
    assert both(plain[:8] + header + plain[33:]).tolist() == [[0x4D]]


def interlaced(image, kind, depth):
    """A PNG in the seven passes of Adam7 (PNG specification, section 8.2), written by hand."""
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    rows = b"".join(
        b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
        for top, left, down, across in passes
        for row in image[top::down, left::across]
        if row.size
    )
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], depth, kind, 0, 0, 1)
    palette = chunk(b"PLTE", bytes(PALETTE)) if kind == 3 else b""
    parts = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_interlaced_png_of_every_kind_is_read():
    np.testing.assert_array_equal(both(interlaced(NOISE[..., 0], 0, 8)), NOISE[..., 0])
    np.testing.assert_array_equal(both(interlaced(NOISE[..., :3], 2, 8)), grey(NOISE[..., :3]))
    colours = PALETTE.reshape(-1, 3)[NOISE[..., 0]]
    np.testing.assert_array_equal(both(interlaced(NOISE[..., 0], 3, 8)), grey(colours))
    deep = np.random.default_rng(4).integers(0, 65536, (61, 83), dtype=np.uint16)
    np.testing.assert_array_equal(both(interlaced(deep, 0, 16)), np.rint(deep / 257))


def test_sixteen_bits_map_by_their_stored_range():
    ends = np.array([[0, 128, 129, 257, 385, 386], [65406, 65407, 65535, 32767, 32768, 25700]], np.uint16)
    contents = cv2.imencode(".png", ends)[1].tobytes()
    assert both(contents).tolist() == [[0, 0, 1, 1, 1, 2], [254, 255, 255, 127, 128, 100]]
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    nearest = np.round(every.astype(np.float64) * 255 / 65535)
    np.testing.assert_array_equal(both(cv2.imencode(".png", every)[1].tobytes()), nearest)


def test_a_dark_sixteen_bit_image_stays_dark():
    dark = np.linspace(0, 6000, 400).astype(np.uint16).reshape(20, 20)
    assert both(cv2.imencode(".png", dark)[1].tobytes()).max() == 23


def test_sixteen_bit_colour_is_the_same_in_both_readers():
    colour = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    both(cv2.imencode(".png", colour)[1].tobytes())
