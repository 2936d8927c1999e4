"""Warps and tone changes of arrays, against exact arithmetic in float64."""

import cv2
import numpy as np
import pytest
from textures import textures

from semenet.data.transforms import host


def picture(height, width):
    smooth = cv2.GaussianBlur(np.random.default_rng(width).normal(size=(height, width)), (0, 0), 3)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def source_positions(size, degrees, zoom=1.0, shift=(0.0, 0.0)):
    """Computes with complex numbers where each pixel comes from: rotated and scaled, then moved."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    # Rows run downwards, angles count upwards.
    position = columns - 1j * rows
    centre = (width - 1) / 2 - 1j * (height - 1) / 2
    moved = width * shift[1] - 1j * height * shift[0]
    source = (position - moved - centre) / (zoom * np.exp(1j * np.deg2rad(degrees))) + centre
    return -source.imag, source.real


def warp_exactly(image, *changes):
    y, x = source_positions(image.shape, *changes)
    padded = np.pad(image.astype(np.float64), 2)
    y, x = (np.clip(value, -2, side) + 2 for value, side in zip((y, x), image.shape, strict=True))
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    v, u = y - top, x - left
    below, right = np.minimum(top + 1, padded.shape[0] - 1), np.minimum(left + 1, padded.shape[1] - 1)
    upper = padded[top, left] * (1 - u) + padded[top, right] * u
    lower = padded[below, left] * (1 - u) + padded[below, right] * u
    return upper * (1 - v) + lower * v


def nearest_exactly(mask, *changes):
    """Returns the nearest pixel's value for every pixel, and whether one pixel is clearly the nearest."""
    y, x = source_positions(mask.shape, *changes)
    row, column = np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)
    height, width = mask.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    nearest = np.where(inside, mask[row.clip(0, height - 1), column.clip(0, width - 1)], 0)
    clear = (np.abs(y + 0.5 - np.rint(y + 0.5)) > 1e-3) & (np.abs(x + 0.5 - np.rint(x + 0.5)) > 1e-3)
    return nearest, clear


CHANGES = [
    (0.0, 1.0, (0.0, 0.0)),
    (0.0, 1.3, (0.0, 0.0)),
    (0.0, 1 / 1.3, (0.0, 0.0)),
    (0.0, 1.0, (0.1, -0.07)),
    (17.0, 1.1, (0.05, 0.2)),
    (-30.0, 0.8, (-0.3, 0.02)),
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("size", [(96, 96), (97, 131)])
def test_warp_is_within_one_grey_level_of_exact_and_its_mask_is_the_nearest_pixel(changes, size):
    image = picture(*size)
    out = np.empty_like(image)
    warped = host.warp(image, *changes, out=out)
    assert warped is out
    assert np.abs(warped - warp_exactly(image, *changes)).max() < 0.52
    mask = (image > 120).astype(np.uint8)
    nearest, clear = nearest_exactly(mask, *changes)
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(host.warp_mask(mask, *changes)[clear], nearest[clear])


@pytest.mark.parametrize("size", [(512, 512), (97, 131)])
@pytest.mark.parametrize("degrees", [-30, -7.3, 0, 13, 30])
@pytest.mark.parametrize("name", ["noise", "smooth"])
def test_rotation_is_within_one_grey_level_of_exact(size, degrees, name):
    image = textures(*size)[name]
    assert np.abs(host.warp(image, degrees) - warp_exactly(image, degrees)).max() < 0.52


def test_warp_worked_out_by_hand():
    image = np.zeros((5, 5), np.uint8)
    image[2, 3] = 8
    # A fifth of five pixels is one: down, and to the right.
    np.testing.assert_array_equal(np.argwhere(host.warp(image, shift=(0.2, 0.0))), [[3, 3]])
    np.testing.assert_array_equal(np.argwhere(host.warp(image, shift=(0.0, 0.2))), [[2, 4]])
    # One pixel right of the centre moves above it, and to the edge when the image is enlarged twice.
    np.testing.assert_array_equal(np.argwhere(host.warp(image, 90.0)), [[1, 2]])
    doubled = host.warp(image, zoom=2.0)
    np.testing.assert_array_equal(doubled[2], [0, 0, 0, 4, 8])
    np.testing.assert_array_equal(doubled[1:4, 4], [4, 8, 4])


def test_rotation_is_counter_clockwise():
    image = np.zeros((5, 5), np.uint8)
    image[2, 4] = 9
    quarter = host.warp(image, 90.0)
    assert quarter[0, 2] == 9
    assert quarter.sum() == 9
    np.testing.assert_array_equal(quarter, np.rot90(image))


@pytest.mark.parametrize("degrees", [-30, 11.7, 30])
def test_mask_rotates_with_its_image(degrees):
    mask = (textures(120, 150)["smooth"] > 120).astype(np.uint8)
    rotated, rotated_mask = host.warp(mask * np.uint8(255), degrees), host.warp_mask(mask, degrees)
    assert set(np.unique(rotated_mask)) == {0, 1}
    nearest, _ = nearest_exactly(mask, degrees)
    assert (rotated_mask != nearest).mean() < 1e-3
    # Where the image is wholly inside or outside the mask's shape, the mask agrees with it.
    sure = np.isin(rotated, (0, 255))
    np.testing.assert_array_equal(rotated_mask[sure] * 255, rotated[sure])


def test_pixels_from_outside_are_black_and_not_in_the_mask():
    image, mask = np.full((40, 40), 100, np.uint8), np.ones((40, 40), np.uint8)
    rotated = host.warp(image, 45.0)
    assert rotated[0, 0] == 0
    assert rotated[20, 20] == 100
    assert host.warp_mask(mask, 45.0)[0, 0] == 0


def test_tone_table_worked_out_by_hand():
    np.testing.assert_array_equal(host.tone_table(), np.arange(256))
    squared = host.tone_table(gamma=2.0)
    # 51 and 102 are a fifth and two fifths of 255.
    assert squared[[0, 51, 102, 255]].tolist() == [0, 10, 41, 255]
    flatter = host.tone_table(contrast=0.5)
    assert flatter[[0, 127, 128, 255]].tolist() == [64, 127, 128, 191]
    steeper = host.tone_table(contrast=2.0)
    assert steeper[[0, 63, 64, 127, 191, 192]].tolist() == [0, 0, 0, 126, 254, 255]
    # The power first: (51 / 255)**2 * 255 = 10.2, which is 117.3 below mid-grey.
    assert host.tone_table(2.0, 0.5)[51] == round(127.5 - 117.3 / 2)
    for gamma, contrast in ((0.5, 2.0), (1.7, 0.6)):
        assert (np.diff(host.tone_table(gamma, contrast).astype(int)) >= 0).all()


def test_tone_of_an_image_is_looked_up_in_the_table():
    image = picture(20, 30)
    image.flags.writeable = False
    table = host.tone_table(1.3, 0.8)
    out = np.empty_like(image)
    assert host.change_tone(image, table, out=out) is out
    np.testing.assert_array_equal(out, table[image])
    np.testing.assert_array_equal(host.change_tone(image, table), table[image])
