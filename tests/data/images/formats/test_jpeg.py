"""JPEG on the host and in the graph, compared with Pillow."""

import io
import re

import cv2
import numpy as np
import pytest
from image_files import (
    COLOUR,
    GREY,
    NOISE,
    SMOOTH,
    both,
    encoded,
    grey,
)
from PIL import Image

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image


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


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_read_as_its_luma_in_both_readers(progressive):
    for quality, subsampling in ((30, 0), (30, 2), (95, 0), (95, 1), (95, 2)):
        options = {"quality": quality, "progressive": progressive, "subsampling": subsampling}
        contents = encoded(COLOUR, "JPEG", **options)
        decoder = Image.open(io.BytesIO(contents))
        decoder.draft("L", None)
        np.testing.assert_array_equal(both(contents), np.asarray(decoder))
        both(encoded(GREY, "JPEG", quality=quality, progressive=progressive))


def test_jpeg_stored_as_red_green_blue_is_the_same_in_both_readers():
    both(encoded(COLOUR, "JPEG", keep_rgb=True))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_jpeg_with_an_end_marker_is_refused(share):
    large = Image.fromarray(cv2.resize(SMOOTH[..., 0], (400, 300)))
    jpeg = encoded(large, "JPEG")
    start = jpeg.index(b"\xff\xda") + 20
    cut = start + int((len(jpeg) - start) * share)
    with pytest.raises(ImageError, match="data end before the image"):
        read_image(jpeg[:cut].removesuffix(b"\xff") + b"\xff\xd9")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("interval", [1, 3, 16])
def test_a_jpeg_truncated_at_a_restart_marker_is_refused(mode, interval):
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


def test_a_jpeg_that_ends_in_middle_grey_is_read():
    grey = np.full((64, 64), 128, np.uint8)
    grey[:20] = 30
    contents = encoded(Image.fromarray(grey), "JPEG", quality=100)
    assert (both(contents)[-1] == 128).all()
