"""Small files that cost much: each is refused by its header, in an instant."""

import os
import re
import threading
import time

import bombs
import cv2
import mutated_images
import numpy as np
import pytest
import tensorflow as tf
from dicom_reference import written

from semenet.data.images.errors import ImageError
from semenet.data.images.formats.exif import ORIENTATION_PATTERN, exif_orientation
from semenet.data.images.formats.jpeg_limits import MOST_SCANS
from semenet.data.images.in_graph import decode_image
from semenet.data.images.reading import check_image, image_size, read_image
from semenet.data.images.time_limit import within_time

SMALL = {
    "scans": (bombs.many_scans(mutated_images.seeds()["jpeg_progressive"], 200), "more than 100 scans"),
    "baseline scans": (bombs.many_scans(mutated_images.seeds()["jpeg_grey"], 200), "more than 100 scans"),
    "segments": (bombs.jpeg_with(b"\xff\xef\x00\x02", 20_000), "more than 1,000 segments"),
    "size": (bombs.declared_large(mutated_images.seeds()["jpeg_grey"], 9_999), "99,980,001 pixels in"),
    "chunks": (bombs.png_of_chunks(100_000), "at most 100,000 chunks"),
    "strips": (bombs.overlapping_strips(10), "10 strips or tiles lie on the same bytes"),
    "fields": (bombs.overlapping_fields(5), r"field 4000\d has 1,048,576 values"),
    "items": (bombs.inserted(written(), bombs.items(30_000, is_open=False)), "Received: .* with 30,000"),
    "open items": (bombs.inserted(written(), bombs.items(60_000, is_open=True)), "cannot be read"),
    "nested": (bombs.inserted(written(), bombs.nested(3_000)), "cannot be read"),
    "attributes": (bombs.inserted(written(), b"\x29\x00\x10\x10LO\0\0" * 70_000), "15,000 attributes"),
    "window": (bombs.long_window(1 << 19), r"\(0028,1050\) has 524,288 bytes"),
    "table": (bombs.long_table(1 << 19), r"\(0028,3006\) has 1,048,576 bytes"),
    "layers": (bombs.layered(65_535), "65,535 layers"),
    "run lengths": (bombs.run_length_beyond(1 << 16), "more values than its rows and columns"),
    "scans in DICOM": (
        written(
            np.zeros((mutated_images.HEIGHT, mutated_images.WIDTH), np.uint8),
            syntax=bombs.BASELINE,
            frame=bombs.many_scans(mutated_images.seeds()["jpeg_grey"], 200),
        ),
        "more than 100 scans",
    ),
}


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_that_costs_more_than_it_holds_is_refused(kind):
    contents, message = SMALL[kind]
    for read in (read_image, check_image):
        with pytest.raises(ImageError, match=message) as error:
            read(contents, name="scan 7")
        assert "scan 7" in str(error.value)


def test_the_passes_of_all_scans_are_limited():
    contents = bombs.declared_large(bombs.many_scans(bombs.progressive(), 30), 9_999)
    with pytest.raises(ImageError, match=r"\d\d scans of 99,980,001 pixels"):
        read_image(contents + bytes(1 << 20))
    assert image_size(contents) == (9_999, 9_999)


def test_a_side_is_limited_in_the_graph_too():
    for side, is_read in ((65_535, True), (65_536, False)):
        contents = cv2.imencode(".png", np.zeros((side, 1), np.uint8))[1].tobytes()
        if is_read:
            assert read_image(contents).shape == decode_image(contents).shape[:2] == (side, 1)
        else:
            with pytest.raises(ImageError, match="65,535 rows"):
                read_image(contents)
            with pytest.raises(tf.errors.InvalidArgumentError, match="An image must have 1 to"):
                decode_image(contents)


def test_files_within_the_limits_are_read():
    grey = mutated_images.seeds()["jpeg_grey"]
    expected = read_image(grey)
    np.testing.assert_array_equal(read_image(bombs.jpeg_with(b"\xff\xef\x00\x02", 900)), expected)
    np.testing.assert_array_equal(read_image(bombs.jpeg_with(b"\xff", 500_000)), expected)
    assert read_image(bombs.progressive()).shape == (1500, 1500)
    assert MOST_SCANS >= 100
    assert check_image(grey) == expected.shape


def test_the_orientation_is_that_of_the_pattern_and_found_in_an_instant():
    rng = np.random.default_rng(3)
    pattern = (ORIENTATION_PATTERN % ((r"[\x00-\xff]",) * 2)).encode("ascii")
    parts = [
        b"Exif\0\0II*\0",
        b"eXIfMM\0*",
        b"\x12\x01\x03\0\x01\0\0\0\x06\0",
        b"\x01\x12\0\x03\0\0\0\x01\0\x03",
    ]
    parts += [b"eXIfII*\0", b"\x12\x01\x03\0\x01\0\0\0\x09\0", b"\xff\xd8", b"\n"]
    for _ in range(300):
        head = b"".join(parts[number] for number in rng.integers(0, len(parts), rng.integers(1, 9)))
        match = re.search(pattern, head)
        assert exif_orientation(head) == (1 if match is None else (match[1] or match[2])[0])
    began = time.perf_counter()
    assert exif_orientation((b"Exif\0\0II*\0" * 6600)[:65_536]) == 1
    assert time.perf_counter() - began < 1


def test_a_file_longer_than_any_image_is_not_read(tmp_path):
    path = tmp_path / "sparse.png"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match=r"at most 667,108,864 bytes. Received: .*sparse.png"):
        read_image(path)


def test_pipes_and_devices_are_refused_wherever_a_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.tfrecord")
    for path in (f"{tmp_path}/pipe.tfrecord@0+4+00000000", tmp_path / "pipe.tfrecord", "/dev/zero"):
        with pytest.raises(ImageError, match="must be a regular file"):
            read_image(path)


def test_a_reader_that_hangs_is_left_behind():
    stop = threading.Event()
    began = time.perf_counter()
    with pytest.raises(ImageError, match=r"within 0.2 s. Received: scan 7"):
        within_time(stop.wait, "scan 7", seconds=0.2)
    assert time.perf_counter() - began < 5
    stop.set()
    assert within_time(lambda: 5, "scan 7") == 5
    with pytest.raises(ZeroDivisionError):
        within_time(lambda: 1 / 0, "scan 7")
