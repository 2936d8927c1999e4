"""Warps and tones of arrays, against exact arithmetic in float64."""

import cv2
import numpy as np
import pytest

from semenet.data.transforms import host as host_transforms


def picture(height, width):
    smooth = cv2.GaussianBlur(np.random.default_rng(width).normal(size=(height, width)), (0, 0), 3)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def came_from(size, degrees, zoom, shift):
    """Where each pixel comes from, as complex numbers: turned and scaled about the centre, then moved."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    # Rows run downwards, angles count upwards.
    position = columns - 1j * rows
    centre = (width - 1) / 2 - 1j * (height - 1) / 2
    moved = width * shift[1] - 1j * height * shift[0]
    source = (position - moved - centre) / (zoom * np.exp(1j * np.deg2rad(degrees))) + centre
    return -source.imag, source.real


def warped_exactly(image, *changes):
    y, x = came_from(image.shape, *changes)
    padded = np.pad(image.astype(np.float64), 2)
    y, x = (np.clip(value, -2, side) + 2 for value, side in zip((y, x), image.shape, strict=True))
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    v, u = y - top, x - left
    below, right = np.minimum(top + 1, padded.shape[0] - 1), np.minimum(left + 1, padded.shape[1] - 1)
    upper = padded[top, left] * (1 - u) + padded[top, right] * u
    lower = padded[below, left] * (1 - u) + padded[below, right] * u
    return upper * (1 - v) + lower * v


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
def test_a_warp_is_within_one_grey_level_of_exact_and_its_mask_the_nearest(changes, size):
    image = picture(*size)
    out = np.empty_like(image)
    warped = host_transforms.warp(image, *changes, out=out)
    assert warped is out
    assert np.abs(warped - warped_exactly(image, *changes)).max() < 0.52
    mask = (image > 120).astype(np.uint8)
    moved = host_transforms.warp_mask(mask, *changes)
    y, x = came_from(size, *changes)
    row, column = np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)
    inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
    nearest = np.where(inside, mask[row.clip(0, size[0] - 1), column.clip(0, size[1] - 1)], 0)
    # Half-way between two pixels either is the nearest.
    clear = (np.abs(y + 0.5 - np.rint(y + 0.5)) > 1e-3) & (np.abs(x + 0.5 - np.rint(x + 0.5)) > 1e-3)
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(moved[clear], nearest[clear])


def test_a_warp_by_hand():
    image = np.zeros((5, 5), np.uint8)
    image[2, 3] = 8
    # A fifth of five pixels is one: down, and to the right.
    np.testing.assert_array_equal(np.argwhere(host_transforms.warp(image, shift=(0.2, 0.0))), [[3, 3]])
    np.testing.assert_array_equal(np.argwhere(host_transforms.warp(image, shift=(0.0, 0.2))), [[2, 4]])
    # One pixel right of the centre goes above it, and up to the edge when all is doubled.
    np.testing.assert_array_equal(np.argwhere(host_transforms.warp(image, 90.0)), [[1, 2]])
    doubled = host_transforms.warp(image, zoom=2.0)
    np.testing.assert_array_equal(doubled[2], [0, 0, 0, 4, 8])
    np.testing.assert_array_equal(doubled[1:4, 4], [4, 8, 4])


@pytest.mark.parametrize("degrees", [0.0, 13.3, -30.0])
def test_a_warp_that_only_turns_is_the_rotation(degrees):
    image = picture(64, 75)
    np.testing.assert_array_equal(
        host_transforms.warp(image, degrees, 1.0, (-0.0, 0.0)), host_transforms.rotate(image, degrees)
    )
    np.testing.assert_array_equal(
        host_transforms.warp_mask(image, degrees), host_transforms.rotate_mask(image, degrees)
    )


def test_tones_by_hand():
    np.testing.assert_array_equal(host_transforms.tone_table(), np.arange(256))
    squared = host_transforms.tone_table(gamma=2.0)
    # 51 and 102 are a fifth and two fifths of 255.
    assert squared[[0, 51, 102, 255]].tolist() == [0, 10, 41, 255]
    flatter = host_transforms.tone_table(contrast=0.5)
    assert flatter[[0, 127, 128, 255]].tolist() == [64, 127, 128, 191]
    steeper = host_transforms.tone_table(contrast=2.0)
    assert steeper[[0, 63, 64, 127, 191, 192]].tolist() == [0, 0, 0, 126, 254, 255]
    # The power first: (51 / 255)**2 * 255 = 10.2, which lies 117.3 below mid-grey.
    assert host_transforms.tone_table(2.0, 0.5)[51] == round(127.5 - 117.3 / 2)
    for gamma, contrast in ((0.5, 2.0), (1.7, 0.6)):
        assert (np.diff(host_transforms.tone_table(gamma, contrast).astype(int)) >= 0).all()


def test_an_images_tone_is_looked_up():
    image = picture(20, 30)
    image.flags.writeable = False
    table = host_transforms.tone_table(1.3, 0.8)
    out = np.empty_like(image)
    assert host_transforms.change_tone(image, table, out=out) is out
    np.testing.assert_array_equal(out, table[image])
    np.testing.assert_array_equal(host_transforms.change_tone(image, table), table[image])
