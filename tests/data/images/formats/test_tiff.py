"""TIFF: compared with Pillow's pixels and files written by hand."""

import io
import struct

import numpy as np
import pytest
import tifffile
from image_files import (
    COLOUR,
    GREY,
    NOISE,
    TIFF_KINDS,
    encoded,
    grey,
    tiff,
)
from PIL import Image

from semenet.data.images.errors import ImageError
from semenet.data.images.formats import tiff as tags
from semenet.data.images.reading import read_image
from semenet.data.images.tones import eight_bits


@pytest.mark.parametrize("kind", TIFF_KINDS)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"])
def test_tiff_of_the_usual_kinds_is_read(kind, compression):
    image, expected = TIFF_KINDS[kind]
    if expected is None:
        expected = np.rint(np.asarray(image) / 257)
    contents = encoded(image, "TIFF", compression=compression)
    np.testing.assert_array_equal(read_image(contents), expected)
    for orientation in range(2, 9):
        turned = encoded(image, "TIFF", compression=compression, tiffinfo={274: orientation})
        flags = [step for step in (5, 6, 7, 8) if step == orientation]
        upright = expected.T if flags else expected
        upright = upright[:, ::-1] if orientation in (2, 3, 6, 7) else upright
        upright = upright[::-1] if orientation in (3, 4, 7, 8) else upright
        np.testing.assert_array_equal(read_image(turned), upright)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_damaged_deflate_in_a_tiff_is_refused(dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (60, 70), dtype=dtype)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "TIFF", compression="tiff_adobe_deflate")
    tiff_bytes = stream.getvalue()
    np.testing.assert_array_equal(read_image(tiff_bytes), eight_bits(image))
    middle = len(tiff_bytes) // 2
    with pytest.raises(ImageError, match="compressed data are damaged"):
        read_image(tiff_bytes[:middle] + bytes(20) + tiff_bytes[middle + 20 :])


@pytest.mark.parametrize("order", "<>")
def test_tiff_with_white_as_zero_and_sixteen_bit_colour(order):
    for values in (NOISE[..., 0], NOISE[..., 0].astype(np.uint16) * 257):
        eight = NOISE[..., 0]
        np.testing.assert_array_equal(read_image(tiff(values, order)), eight)
        np.testing.assert_array_equal(read_image(tiff(values, order, PHOTOMETRIC=0)), 255 - eight)
    deep = np.random.default_rng(6).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    np.testing.assert_array_equal(read_image(tiff(deep, order)), (grey(deep) + 128) // 257)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"following": 8}, "several pages"),
        ({"COMPRESSION": 7}, "compression 7"),
        ({"PHOTOMETRIC": 5}, "interpretation 5"),
        ({"BITS": 32}, "32 bits"),
        ({"SAMPLE_FORMAT": 3}, "not unsigned integers"),
        ({"SAMPLE_FORMAT": 2}, "not unsigned integers"),
        ({"SAMPLES": 7}, "7 samples"),
        ({"FILL_ORDER": 2}, "reversed bits"),
        ({"ORIENTATION": 9}, "orientation 9"),
        ({"HEIGHT": 20_000, "WIDTH": 20_000}, "1 of 328 strips"),
        ({"HEIGHT": 20_000, "WIDTH": 20_000, "ROWS_PER_STRIP": 20_000}, "truncated"),
        ({"HEIGHT": 0}, "0 x 83"),
        ({"STRIP_BYTES": 5062}, "truncated"),
        ({"STRIP_OFFSETS": 5000}, "truncated"),
        ({"ROWS_PER_STRIP": 30}, "1 of 3 strips"),
        ({"TILE_WIDTH": 60_000, "TILE_HEIGHT": 16}, "tiles of 16 x 60,000"),
    ],
)
def test_unsupported_and_contradictory_tiffs_are_refused(fields, message):
    with pytest.raises(ImageError, match=message):
        read_image(tiff(NOISE[..., 0], **fields))


def test_an_oversized_tiff_is_refused_by_its_header():
    black = np.zeros((12_000, 12_000), np.uint8)
    contents = encoded(Image.fromarray(black), "TIFF", compression="packbits")
    with pytest.raises(ImageError, match="header declares 12,000 x 12,000"):
        read_image(contents)


def test_pages_floats_and_fax_are_refused():
    for image, options, message in (
        (GREY, {"save_all": True, "append_images": [GREY]}, "several pages"),
        (GREY.convert("F"), {}, "32 bits"),
        (GREY.convert("I"), {}, "32 bits"),
        (GREY.convert("1"), {"compression": "group4"}, "compression 4"),
        (GREY, {"compression": "jpeg"}, "compression 7"),
        (COLOUR.convert("CMYK"), {}, "interpretation 5"),
    ):
        with pytest.raises(ImageError, match=message):
            read_image(encoded(image, "TIFF", **options))


@pytest.mark.parametrize("order", "<>")
def test_premultiplied_colours_are_divided_by_their_opacity(order):
    stored = np.array([[[10, 20, 30, 255], [10, 20, 30, 51], [200, 90, 0, 100], [9, 9, 9, 0]]], np.uint8)
    whole = np.array([[[10, 20, 30], [50, 100, 150], [255, 229, 0], [0, 0, 0]]])
    contents = tiff(stored, order, EXTRA_SAMPLES=1)
    np.testing.assert_array_equal(read_image(contents), grey(whole))
    plain = tiff(stored, order, EXTRA_SAMPLES=2)
    np.testing.assert_array_equal(read_image(plain), grey(stored[..., :3]))


def test_tiles_are_read_and_truncated_ones_refused():
    stream = io.BytesIO()
    tifffile.imwrite(stream, NOISE[..., 0], tile=(32, 16), compression="zlib", predictor=True)
    contents = stream.getvalue()
    np.testing.assert_array_equal(read_image(contents), NOISE[..., 0])
    with pytest.raises(ImageError, match="truncated"):
        read_image(contents[:-200])


def test_a_palette_of_another_length_is_refused():
    contents = tiff(NOISE[..., 0], PHOTOMETRIC=3, COLOUR_MAP=7)
    with pytest.raises(ImageError, match="palette of 256 colours"):
        read_image(contents)


def test_fields_of_millions_of_values_are_refused_without_reading_them():
    # tifffile would make a Python list of them.
    contents = bytearray(tiff(NOISE[..., 0])) + bytes(8 << 20)
    entry = contents.rindex(struct.pack("<HHI", tags.STRIP_OFFSETS, 4, 1))
    struct.pack_into("<II", contents, entry + 4, 2 << 20, 8)
    with pytest.raises(ImageError, match="field 273 has 2,097,152 values"):
        read_image(bytes(contents))


def test_a_damaged_tiff_prints_nothing(capfd):
    # In PackBits a byte of 128 means nothing, so the strips end before their rows do.
    for compression, damage in (("tiff_lzw", b"\0"), ("packbits", b"\x80")):
        contents = encoded(GREY, "TIFF", compression=compression)
        with pytest.raises(ImageError):
            read_image(contents[:300] + damage * (len(contents) - 300))
    assert capfd.readouterr().err == ""
