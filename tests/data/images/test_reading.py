"""Readers on the host and in the graph, against Pillow and hand-made files."""

import io
import os
import pathlib
import re
import socket
import struct
import threading
import warnings
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from semenet.data.images import pixel_range
from semenet.data.images.errors import ImageError, PixelRangeWarning
from semenet.data.images.formats import tiff as tags
from semenet.data.images.in_graph import decode_image
from semenet.data.images.listing import list_images
from semenet.data.images.pixel_range import check_range
from semenet.data.images.reading import read_image, read_mask
from semenet.data.images.tones import eight_bits

GRAPH = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
NOISE = np.random.default_rng(0).integers(0, 256, (61, 83, 4), dtype=np.uint8)
SMOOTH = cv2.GaussianBlur(NOISE, (0, 0), 3)


@pytest.fixture(autouse=True)
def range_not_yet_warned(monkeypatch):
    monkeypatch.setattr(pixel_range, "_has_warned", False)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(height, width, data, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def both(contents):
    """What the two readers give, which must be the same."""
    on_host = read_image(contents)
    assert on_host.dtype == np.uint8
    assert on_host.flags.c_contiguous
    np.testing.assert_array_equal(GRAPH(contents).numpy()[..., 0], on_host)
    return on_host


GREY = Image.fromarray(SMOOTH[..., 0])
COLOUR = Image.fromarray(NOISE[..., :3])


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
def test_png_follows_the_stated_grey_rule_in_both_readers(image):
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


PALETTE = np.random.default_rng(3).integers(0, 256, 768, dtype=np.uint8)


def grey(colours):
    red, green, blue = np.moveaxis(np.asarray(colours, np.int64), -1, 0)
    return (9797 * red + 19234 * green + 3737 * blue) >> 15


def test_interlaced_png_of_every_kind_is_read():
    np.testing.assert_array_equal(both(interlaced(NOISE[..., 0], 0, 8)), NOISE[..., 0])
    np.testing.assert_array_equal(both(interlaced(NOISE[..., :3], 2, 8)), grey(NOISE[..., :3]))
    colours = PALETTE.reshape(-1, 3)[NOISE[..., 0]]
    np.testing.assert_array_equal(both(interlaced(NOISE[..., 0], 3, 8)), grey(colours))
    deep = np.random.default_rng(4).integers(0, 65536, (61, 83), dtype=np.uint16)
    np.testing.assert_array_equal(both(interlaced(deep, 0, 16)), np.rint(deep / 257))


@pytest.mark.parametrize("kind", ["adobe", "adobe_ycck", "plain"])
@pytest.mark.parametrize("progressive", [False, True])
def test_cmyk_jpeg_is_mixed_as_tensorflow_mixes_it(kind, progressive):
    inks = Image.fromarray(SMOOTH, "CMYK")
    contents = encoded(inks, "JPEG", quality=95, progressive=progressive)
    marker = contents.index(b"\xff\xee")
    if kind == "adobe_ycck":
        contents = contents[: marker + 15] + b"\x02" + contents[marker + 16 :]
    elif kind == "plain":
        contents = contents[:marker] + contents[marker + 16 :]
    image = both(contents)
    if kind == "adobe":
        # By Adobe's convention 0 is no ink; the JPEG rounds.
        light = 255 - SMOOTH.astype(np.int64)
        expected = grey(light[..., :3] * light[..., 3:] // 255)
        assert np.abs(image - expected).max() <= 6
    scan = contents.rindex(b"\xff\xda")
    middle = contents[: (scan + len(contents)) // 2].removesuffix(b"\xff") + b"\xff\xd9"
    with pytest.raises(ImageError, match="data end before the image"):
        read_image(middle)


def test_a_progressive_jpeg_without_its_last_scans_is_refused():
    large = Image.fromarray(cv2.resize(NOISE[..., 0], (400, 300)))
    contents = encoded(large, "JPEG", progressive=True)
    scans = [place for place in range(len(contents)) if contents[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for scan in scans[1:]:
        # Tables of the scan that is left out may stay: they are no picture.
        with pytest.raises(ImageError, match="progressive JPEG whose data end before"):
            read_image(contents[:scan] + b"\xff\xd9")
    with pytest.raises(ImageError, match="data end before the image"):
        read_image(contents[:-200].removesuffix(b"\xff") + b"\xff\xd9")


TIFF_KINDS = {
    "grey": (GREY, np.asarray(GREY)),
    "one_bit": (GREY.point(lambda value: 255 * (value > 127)).convert("1"), (SMOOTH[..., 0] > 127) * 255),
    "grey_alpha": (Image.merge("LA", (GREY, GREY)), np.asarray(GREY)),
    "colour": (COLOUR, grey(NOISE[..., :3])),
    "colour_alpha": (Image.fromarray(NOISE), grey(NOISE[..., :3])),
    "palette": (COLOUR.quantize(200), grey(np.asarray(COLOUR.quantize(200).convert("RGB")))),
    "deep": (Image.fromarray(NOISE[..., 0].astype(np.uint16) * 256 + 200), None),
}


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


def tiff(values, order="<", following=0, **fields):
    """An uncompressed TIFF written by hand; fields by their names in `semenet.data.images.formats.tiff`."""
    height, width = values.shape[:2]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    entries = {
        tags.WIDTH: width,
        tags.HEIGHT: height,
        tags.BITS: 8 * values.dtype.itemsize,
        tags.COMPRESSION: 1,
        tags.PHOTOMETRIC: 1 if values.ndim == 2 else 2,
        tags.STRIP_OFFSETS: 8,
        tags.SAMPLES: values.size // (height * width),
        tags.ROWS_PER_STRIP: height,
        tags.STRIP_BYTES: len(data),
    } | {getattr(tags, name): value for name, value in fields.items()}
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    start = b"II*\0" if order == "<" else b"MM\0*"
    return (
        start
        + struct.pack(order + "I", 8 + len(data))
        + data
        + struct.pack(order + "H", len(entries))
        + directory
        + struct.pack(order + "I", following)
    )


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
def test_tiffs_that_are_refused(fields, message):
    with pytest.raises(ImageError, match=message):
        read_image(tiff(NOISE[..., 0], **fields))


def test_a_tiff_bomb_is_refused_by_its_header():
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


@pytest.mark.parametrize("kind", ["one_bit", "grey", "palette", "colour", "colour_alpha"])
def test_bmp_is_read_and_a_cut_one_is_not(kind):
    image, expected = TIFF_KINDS[kind]
    contents = encoded(image, "BMP")
    np.testing.assert_array_equal(read_image(contents), expected)
    for share in (0.999, 0.5, 0.05):
        with pytest.raises(ImageError, match="BMP truncated"):
            read_image(contents[: int(len(contents) * share)])
    with pytest.raises(ImageError, match="compression 1"):
        read_image(contents[:30] + b"\x01" + contents[31:])
    bomb = contents[:18] + struct.pack("<ii", 60_000, 60_000) + contents[26:]
    with pytest.raises(ImageError, match="truncated"):
        read_image(bomb)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_gives_its_luma_in_both_readers(progressive):
    for quality, subsampling in ((30, 0), (30, 2), (95, 0), (95, 1), (95, 2)):
        options = {"quality": quality, "progressive": progressive, "subsampling": subsampling}
        contents = encoded(COLOUR, "JPEG", **options)
        decoder = Image.open(io.BytesIO(contents))
        decoder.draft("L", None)
        np.testing.assert_array_equal(both(contents), np.asarray(decoder))
        both(encoded(GREY, "JPEG", quality=quality, progressive=progressive))


def test_jpeg_stored_as_red_green_blue_is_the_same_in_both_readers():
    both(encoded(COLOUR, "JPEG", keep_rgb=True))


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


@pytest.mark.parametrize("code", range(1, 9))
def test_exif_orientation_is_obeyed_in_both_readers(code):
    for endian in "<>":
        exif = Image.Exif()
        exif.endian = endian
        exif[0x0112] = code
        for kind in ("PNG", "JPEG"):
            contents = encoded(GREY, kind, exif=exif)
            upright = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
            np.testing.assert_array_equal(both(contents), np.asarray(upright))


def test_a_thumbnail_s_orientation_is_not_the_image_s():
    def entry(code):
        return struct.pack("<HHIHH", 0x112, 3, 1, code, 0)

    first = struct.pack("<H", 1) + entry(1) + struct.pack("<I", 8 + 2 + 12 + 4)
    second = struct.pack("<H", 1) + entry(6) + struct.pack("<I", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second
    stream = io.BytesIO()
    Image.fromarray(np.arange(40 * 30, dtype=np.uint8).reshape(40, 30)).save(stream, "JPEG", exif=exif)
    assert both(stream.getvalue()).shape == (40, 30)


def test_decoding_is_the_same_eagerly_and_in_a_dataset():
    contents = [encoded(COLOUR, "JPEG"), encoded(GREY, "PNG")]
    decoded = list(tf.data.Dataset.from_tensor_slices(contents).map(decode_image))
    for one, from_dataset in zip(contents, decoded, strict=True):
        np.testing.assert_array_equal(from_dataset, decode_image(tf.constant(one)))
        np.testing.assert_array_equal(from_dataset[..., 0], read_image(one))


def test_path_and_bytes_give_the_same_whatever_the_name(tmp_path):
    contents = encoded(GREY, "JPEG")
    path = tmp_path / "ä radiograph.PNG"
    path.write_bytes(contents)
    for source in (path, str(path), bytearray(contents), memoryview(contents)):
        np.testing.assert_array_equal(read_image(source), read_image(contents))


def broken_files():
    large = Image.fromarray(cv2.resize(SMOOTH[..., 0], (400, 300)))
    jpeg, whole_png = encoded(large, "JPEG"), encoded(large, "PNG")
    flipped = bytearray(whole_png)
    flipped[len(flipped) // 2] ^= 1
    rows = zlib.compress(b"\0" * 101 * 100)
    frames = [Image.fromarray(NOISE[..., channel]) for channel in range(2)]
    other = Image.fromarray(NOISE[:, ::-1, 0])
    return {
        "empty": (b"", "empty"),
        "text": (b"Dear colleague, please find enclosed the radiograph.", "must be a PNG, JPEG, TIFF"),
        "dicom": (bytes(128) + b"DICM" + bytes(64), "no pixels"),
        "gif": (encoded(GREY, "GIF"), "must be a PNG, JPEG, TIFF"),
        "webp": (encoded(GREY, "WEBP"), "must be a PNG, JPEG, TIFF"),
        "png_signature": (whole_png[:8], "without a header"),
        "png_header": (whole_png[:40], "truncated"),
        "png_half": (whole_png[: len(whole_png) // 2], "truncated"),
        "png_end": (whole_png[:-1], "truncated"),
        "png_flipped": (bytes(flipped), "checksum"),
        "png_few_rows": (png(100, 100, zlib.compress(b"\0" * 101 * 50)), "cannot be decoded"),
        "png_cut_data": (png(100, 100, rows[: len(rows) // 2]), "cannot be decoded"),
        "png_animated": (encoded(frames[0], "PNG", save_all=True, append_images=[other]), "animated"),
        "png_no_pixels": (png(0, 100, rows), "header declares 0 x 100"),
        "png_bomb": (png(20_000, 20_000, rows), "header declares 20,000 x 20,000"),
        "jpeg_signature": (jpeg[:3], "without a frame header"),
        "jpeg_header": (jpeg[:30], "without a frame header"),
        "jpeg_half": (jpeg[: len(jpeg) // 2], "truncated"),
        "jpeg_end": (jpeg[:-2], "truncated"),
        "jpeg_progressive": (encoded(large, "JPEG", progressive=True)[:-500], "truncated"),
        "tiff_graph": (encoded(GREY, "TIFF")[:-30], "truncated"),
        "jpeg_bomb": (resized_header(jpeg, 60_000, 60_000), "header declares 60,000 x 60,000"),
        "jpeg_two_channels": (
            jpeg.replace(b"\x01\x01\x11\x00\xff", b"\x02\x01\x11\x00\xff", 1),
            "2 channels",
        ),
        "jpeg_12_bits": (jpeg.replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc0\x00\x0b\x0c"), "12 bits"),
    }


def resized_header(jpeg, height, width):
    frame = jpeg.index(b"\xff\xc0")
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


BROKEN = broken_files()


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_by_name_in_both_readers(case, tmp_path):
    contents, message = BROKEN[case]
    path = tmp_path / "radiograph.png"
    path.write_bytes(contents)
    with pytest.raises(ImageError, match=message) as error:
        read_image(path)
    assert str(path) in str(error.value)
    with pytest.raises(tf.errors.InvalidArgumentError):
        GRAPH(contents)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_jpeg_cut_short_that_ends_well_is_refused(share):
    large = Image.fromarray(cv2.resize(SMOOTH[..., 0], (400, 300)))
    jpeg = encoded(large, "JPEG")
    start = jpeg.index(b"\xff\xda") + 20
    cut = start + int((len(jpeg) - start) * share)
    with pytest.raises(ImageError, match="data end before the image"):
        read_image(jpeg[:cut].removesuffix(b"\xff") + b"\xff\xd9")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("interval", [1, 3, 16])
def test_a_jpeg_cut_at_a_restart_marker_is_refused(mode, interval):
    smooth = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(203, 157)), (0, 0), 5)
    grey = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    stream = io.BytesIO()
    picture = Image.fromarray(grey).convert(mode)
    picture.save(stream, "JPEG", restart_marker_blocks=interval)
    jpeg = stream.getvalue()
    assert read_image(jpeg).shape == (203, 157)
    restarts = [found.start() for found in re.finditer(b"\xff[\xd0-\xd7]", jpeg)]
    assert len(restarts) > 5
    # Before the marker and behind it.
    for end in [*restarts, *(restart + 2 for restart in restarts)]:
        with pytest.raises(ImageError, match="complete and undamaged"):
            read_image(jpeg[:end] + b"\xff\xd9")


def test_a_jpeg_that_ends_in_middle_grey_is_no_broken_one():
    grey = np.full((64, 64), 128, np.uint8)
    grey[:20] = 30
    contents = encoded(Image.fromarray(grey), "JPEG", quality=100)
    assert (both(contents)[-1] == 128).all()


def test_bytes_after_the_end_do_no_harm():
    for kind in ("PNG", "JPEG"):
        contents = encoded(GREY, kind)
        np.testing.assert_array_equal(both(contents + b"appended"), read_image(contents))


def test_max_pixels_is_an_argument_of_both_readers():
    contents = encoded(GREY, "PNG")
    assert read_image(contents, max_pixels=61 * 83).shape == (61, 83)
    assert decode_image(contents, max_pixels=61 * 83).shape == (61, 83, 1)
    with pytest.raises(
        ImageError, match="1 to 5,062 pixels.*61 x 83.*smaller, or, in Python, raise `max_pix"
    ):
        read_image(contents, max_pixels=61 * 83 - 1)
    for reader in (decode_image, tf.function(decode_image)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="5062"):
            reader(contents, max_pixels=61 * 83 - 1)


def test_absent_files_folders_and_forbidden_ones_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"must exist.*none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="Is a directory"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="scan 7"):
        read_image(b"", name="scan 7")


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, monkeypatch, kind):
    # A socket's path must be short.
    monkeypatch.chdir(tmp_path)
    pathlib.Path("real").mkdir()
    if kind == "a named pipe":
        os.mkfifo("real/x.png")
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("real/x.png")
    else:
        pathlib.Path("real/x.png").symlink_to(os.devnull)
    pathlib.Path("link.png").symlink_to("real/x.png")
    errors = []

    def read():
        for path in ("real/x.png", "link.png"):
            try:
                read_image(path)
            except ImageError as error:
                errors.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert [error.split("Received: ")[1].split(". ")[0] for error in errors] == [
        f"{path}, which is {kind}" for path in ("real/x.png", "link.png")
    ]


@pytest.mark.parametrize("thing", [None, 5, np.zeros((4, 4), np.uint8)])
def test_what_is_neither_path_nor_bytes_is_refused(thing):
    with pytest.raises(ImageError, match="path or its encoded bytes"):
        read_image(thing)


def test_masks_become_zero_and_one(tmp_path):
    inside = NOISE[..., 0] > 100
    for values in (inside, inside * np.uint8(255), inside * np.uint8(1), inside * np.uint8(77)):
        path = tmp_path / "mask.png"
        path.write_bytes(encoded(Image.fromarray(values), "PNG"))
        mask = read_mask(path)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, inside)
    for constant in (0, 255):
        contents = encoded(Image.new("L", (9, 7), constant), "PNG")
        np.testing.assert_array_equal(read_mask(contents), np.full((7, 9), constant // 255))


def test_a_sixteen_bit_mask_of_ones_is_no_black_one():
    inside = (NOISE[..., 0] > 100).astype(np.uint16)
    for contents in (cv2.imencode(".png", inside)[1].tobytes(), tiff(inside)):
        np.testing.assert_array_equal(read_mask(contents), inside)


def test_twelve_bits_kept_in_sixteen_are_noticed():
    values = np.linspace(0, 4095, 400).astype(np.uint16).reshape(20, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(cv2.imencode(".png", values * 16)[1].tobytes())
        read_image(cv2.imencode(".png", values * 0)[1].tobytes())
    with pytest.warns(PixelRangeWarning, match="scan 3 with values from 0 to 4095 of 65,536"):
        read_image(cv2.imencode(".png", values)[1].tobytes(), name="scan 3")


def test_a_mask_of_many_greys_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(encoded(Image.fromarray(np.array([[0, 1, 2]], np.uint8)), "PNG"))
    with pytest.raises(ImageError, match=r"mask\.png with 3 grey levels"):
        read_mask(path)


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, 0.5, 1.0]),
        np.array([-1.5, 1.5]),
        np.array([0, 255.5]),
        np.array([np.nan, 3.0]),
        np.array([0, 1], np.uint8),
        np.array([0, 4095], np.uint16),
    ],
)
def test_a_wrong_range_is_noticed_once(values):
    with pytest.warns(PixelRangeWarning, match=r"scan\.png"):
        check_range(values, "scan.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_range(values, "another.png")


@pytest.mark.parametrize(
    "values", [np.array([0, 2]), np.array([0.0, 255.0]), np.zeros(3), np.zeros((0, 2)), NOISE]
)
def test_a_right_range_is_left_alone(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_range(values, "scan.png")


def test_reading_notices_an_image_of_zeros_and_ones_but_no_mask(tmp_path):
    path = tmp_path / "scaled.png"
    path.write_bytes(encoded(Image.fromarray(np.eye(5, dtype=np.uint8)), "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mask(path)
    with pytest.warns(PixelRangeWarning, match=r"scaled\.png"):
        read_image(path)


def test_folders_are_searched_and_files_are_taken_as_they_are(tmp_path):
    for name in ("b.PNG", "a/c.jpg", "a/.hidden.png", ".git/d.png", "notes.txt", "a/e.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [tmp_path / name for name in ("a/c.jpg", "a/e.jpeg", "b.PNG")]
    assert list_images([tmp_path]) == found
    notes = tmp_path / "notes.txt"
    assert list_images([notes, str(found[1]), tmp_path]) == [notes, found[1], found[0], found[2]]
    with pytest.raises(ImageError, match=r"none\.png"):
        list_images([tmp_path / "none.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="holds none"):
        list_images([tmp_path / "empty"])


@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_real_radiographs_are_the_same_in_both_readers():
    folder = pathlib.Path(os.environ["SEMENET_DATA"])
    paths = [path for path in list_images([folder]) if "masks" not in path.parts]
    for path in paths[:: max(1, len(paths) // 300)]:
        np.testing.assert_array_equal(GRAPH(path.read_bytes())[..., 0], read_image(path), str(path))


def test_no_path_at_all_is_an_error():
    with pytest.raises(ImageError, match="at least one image.*Received"):
        list_images([])
