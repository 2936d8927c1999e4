"""Readers on the host and in the graph, against Pillow and hand-made files."""

import io
import os
import pathlib
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from semenet.data import images
from semenet.data.images import (
    ImageError,
    PixelRangeWarning,
    check_range,
    decode_image,
    list_images,
    read_image,
    read_mask,
)

GRAPH = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
NOISE = np.random.default_rng(0).integers(0, 256, (61, 83, 4), dtype=np.uint8)
SMOOTH = cv2.GaussianBlur(NOISE, (0, 0), 3)


@pytest.fixture(autouse=True)
def range_not_yet_warned(monkeypatch):
    monkeypatch.setattr(images, "_range_warned", False)


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
        "text": (b"Dear colleague, please find enclosed the radiograph.", "must be a PNG or JPEG"),
        "dicom": (bytes(128) + b"DICM" + bytes(64), "must be a PNG or JPEG"),
        "gif": (encoded(GREY, "GIF"), "must be a PNG or JPEG"),
        "png_signature": (whole_png[:8], "without a header"),
        "png_header": (whole_png[:40], "breaks off"),
        "png_half": (whole_png[: len(whole_png) // 2], "breaks off"),
        "png_end": (whole_png[:-1], "breaks off"),
        "png_flipped": (bytes(flipped), "checksum"),
        "png_few_rows": (png(100, 100, zlib.compress(b"\0" * 101 * 50)), "cannot be decoded"),
        "png_cut_data": (png(100, 100, rows[: len(rows) // 2]), "cannot be decoded"),
        "png_animated": (encoded(frames[0], "PNG", save_all=True, append_images=[other]), "animated"),
        "png_no_pixels": (png(0, 100, rows), "header says 0 x 100"),
        "png_bomb": (png(20_000, 20_000, rows), "header says 20,000 x 20,000"),
        "jpeg_signature": (jpeg[:3], "without a frame header"),
        "jpeg_header": (jpeg[:30], "without a frame header"),
        "jpeg_half": (jpeg[: len(jpeg) // 2], "breaks off"),
        "jpeg_end": (jpeg[:-2], "breaks off"),
        "jpeg_progressive": (encoded(large, "JPEG", progressive=True)[:-500], "breaks off"),
        "jpeg_bomb": (resized_header(jpeg, 60_000, 60_000), "header says 60,000 x 60,000"),
        "jpeg_cmyk": (encoded(COLOUR.convert("CMYK"), "JPEG"), "CMYK"),
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
    with pytest.raises(ImageError, match="1 to 5,062 pixels.*61 x 83"):
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
