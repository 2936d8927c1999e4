"""Warnings about pixel values that do not use the range [0, 255]."""

import warnings

import cv2
import numpy as np
import pytest
from image_files import NOISE, encoded
from PIL import Image

from semenet.data.images.errors import PixelRangeWarning
from semenet.data.images.pixel_range import check_range
from semenet.data.images.reading import read_image, read_mask

pytestmark = pytest.mark.usefixtures("fresh_range_warning")


def test_twelve_bits_stored_in_sixteen_cause_a_warning():
    values = np.linspace(0, 4095, 400).astype(np.uint16).reshape(20, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(cv2.imencode(".png", values * 16)[1].tobytes())
        read_image(cv2.imencode(".png", values * 0)[1].tobytes())
    with pytest.warns(PixelRangeWarning, match="scan 3 with values from 0 to 4095 of 65,536"):
        read_image(cv2.imencode(".png", values)[1].tobytes(), name="scan 3")


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
def test_a_wrong_range_causes_one_warning(values):
    with pytest.warns(PixelRangeWarning, match=r"scan\.png"):
        check_range(values, "scan.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_range(values, "another.png")


@pytest.mark.parametrize(
    "values", [np.array([0, 2]), np.array([0.0, 255.0]), np.zeros(3), np.zeros((0, 2)), NOISE]
)
def test_a_correct_range_causes_no_warning(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_range(values, "scan.png")


def test_reading_warns_of_an_image_of_zeros_and_ones_but_not_of_a_mask(tmp_path):
    path = tmp_path / "scaled.png"
    path.write_bytes(encoded(Image.fromarray(np.eye(5, dtype=np.uint8)), "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mask(path)
    with pytest.warns(PixelRangeWarning, match=r"scaled\.png"):
        read_image(path)
