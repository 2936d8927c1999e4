"""Reading of files, bytes and masks, on the host and in the graph."""

import io
import os
import pathlib
import socket
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from image_files import (
    COLOUR,
    GRAPH,
    GREY,
    NOISE,
    SMOOTH,
    both,
    encoded,
    png,
    tiff,
)
from PIL import Image, ImageOps

from semenet.data.images.errors import ImageError, ImageTypeError, MissingImageError
from semenet.data.images.in_graph import decode_image
from semenet.data.images.listing import list_images
from semenet.data.images.reading import image_size, read_image, read_mask


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


def test_the_orientation_of_a_thumbnail_is_ignored():
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


def test_bytes_after_the_end_are_ignored():
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


def test_missing_files_folders_and_empty_files_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match=r"must exist.*none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="Is a directory"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="scan 7"):
        read_image(b"", name="scan 7")


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device"])
def test_special_files_are_refused_without_waiting(tmp_path, monkeypatch, kind):
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
def test_arguments_that_are_neither_paths_nor_bytes_are_refused(thing):
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


def test_a_sixteen_bit_mask_of_ones_is_not_black():
    inside = (NOISE[..., 0] > 100).astype(np.uint16)
    for contents in (cv2.imencode(".png", inside)[1].tobytes(), tiff(inside)):
        np.testing.assert_array_equal(read_mask(contents), inside)


def test_a_mask_of_many_greys_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(encoded(Image.fromarray(np.array([[0, 1, 2]], np.uint8)), "PNG"))
    with pytest.raises(ImageError, match=r"mask\.png with 3 grey levels"):
        read_mask(path)


@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_real_radiographs_are_the_same_in_both_readers():
    folder = pathlib.Path(os.environ["SEMENET_DATA"])
    paths = [path for path in list_images([folder]) if "masks" not in path.parts]
    for path in paths[:: max(1, len(paths) // 300)]:
        np.testing.assert_array_equal(GRAPH(path.read_bytes())[..., 0], read_image(path), str(path))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_size_is_read_from_the_header_as_the_image_is_read(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = encoded(GREY, kind, exif=exif)
    assert image_size(contents) == read_image(contents).shape == (83, 61)
    # The pixels are not decoded: only a decoder finds out that they are missing.
    if kind == "JPEG":
        scan = contents.index(b"\xff\xda")
        assert image_size(contents[: scan + 14] + b"\xff\xd9") == (83, 61)


@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
def test_the_size_of_other_formats_is_that_of_the_decoded_image(kind):
    assert image_size(encoded(GREY, kind)) == (61, 83)


def test_errors_are_also_those_of_python(tmp_path):
    with pytest.raises(MissingImageError) as missing:
        read_image(tmp_path / "none.png")
    assert isinstance(missing.value, FileNotFoundError)
    with pytest.raises(ImageTypeError) as wrong:
        read_image(5)
    assert isinstance(wrong.value, TypeError)
