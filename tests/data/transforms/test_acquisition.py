"""Changes of acquisition against values worked out by hand or by NumPy."""

import cv2
import numpy as np
import pytest

from semenet.data.transforms import acquisition, host


@pytest.fixture
def picture():
    image = np.random.default_rng(1).integers(0, 256, (48, 40), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    image.flags.writeable = False
    return image


def gaussian(sigma, radius):
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def blurred(image, sigma, radius):
    """Convolves rows, then columns, in double precision; only pixels far from the border are right."""
    rows = np.apply_along_axis(np.convolve, 1, image.astype(float), gaussian(sigma, radius), "same")
    return np.apply_along_axis(np.convolve, 0, rows, gaussian(sigma, radius), "same")


def test_blur_is_a_gaussian(picture):
    found = acquisition.blur(picture, 0.8)
    # OpenCV cuts the Gaussian off at 3 standard deviations.
    assert np.abs(found - blurred(picture, 0.8, 3))[8:-8, 8:-8].max() < 1.5
    assert np.abs(found - picture.astype(float))[8:-8, 8:-8].max() > 3


def test_sharpening_adds_the_difference_from_a_blurred_image(picture):
    found = acquisition.sharpen(picture, 1.2, 1.0).astype(float)
    expected = np.clip(picture + 1.2 * (picture - acquisition.blur(picture, 1.0).astype(float)), 0, 255)
    assert np.abs(found - expected).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(acquisition.sharpen(picture, 0.0, 1.0), picture)


@pytest.mark.parametrize("cubic", [False, True])
def test_a_lower_resolution_removes_detail_but_not_slow_changes(cubic):
    board = np.indices((40, 40)).sum(axis=0) % 2 * 200
    coarse = acquisition.change_resolution(board.astype(np.uint8), 0.4, cubic)
    assert np.ptp(coarse[4:-4, 4:-4].astype(int)) < 180
    ramp = np.tile(np.arange(40, dtype=np.uint8) * 4, (30, 1))
    kept = acquisition.change_resolution(ramp, 0.5, cubic)
    assert kept.shape == ramp.shape
    assert np.abs(kept.astype(int) - ramp)[:, 4:-4].max() <= 2


def test_a_resolution_of_one_changes_nothing(picture):
    np.testing.assert_array_equal(acquisition.change_resolution(picture, 1.0), picture)


def test_local_equalization_is_clahe_whatever_was_used_before(picture):
    for clip_limit, tiles in ((2.0, 8), (3.5, 2), (1.2, 5), (2.0, 8)):
        found = acquisition.equalize_locally(picture, clip_limit, tiles)
        np.testing.assert_array_equal(found, host.clahe(picture, clip_limit, (tiles, tiles)))


def test_tone_worked_out_by_hand():
    image = np.array([[0, 100, 200, 255]], np.uint8)
    # For example 255 * (100 / 255) ** 2 is 39.2, and 127.5 + 0.8 * (39.2 - 127.5) + 10 is 66.9.
    found = acquisition.change_tone(image, 2.0, 0.8, 10.0)
    assert found.tolist() == [[36, 67, 161, 240]]
    assert acquisition.change_tone(image, 1.0, 1.0, 30.0).tolist() == [[30, 130, 230, 255]]


def test_noise_has_its_deviation_and_depends_on_its_place():
    grey = np.full((200, 300), 128, np.uint8)
    first = acquisition.add_noise(grey, 6.0, (0.1, 0.2)).astype(float)
    assert first.std() == pytest.approx(6, rel=0.03)
    assert first.mean() == pytest.approx(128, abs=0.2)
    assert abs(np.corrcoef(first[:, 1:].ravel(), first[:, :-1].ravel())[0, 1]) < 0.02
    other = acquisition.add_noise(grey, 6.0, (0.1, 0.7)).astype(float)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02
    np.testing.assert_array_equal(acquisition.add_noise(grey, 0.0, (0.5, 0.5)), grey)


@pytest.mark.parametrize("size", [(1, 1), (1024, 1024), (1100, 30)])
def test_noise_fits_images_of_any_size(size):
    for place in ((0.0, 0.0), (0.999999, 0.999999)):
        assert acquisition.add_noise(np.zeros(size, np.uint8), 5.0, place).shape == size


def test_compression_loses_more_at_a_lower_quality(picture):
    stored = [acquisition.compress(picture, quality) for quality in (95, 60, 10)]
    losses = [np.abs(image.astype(int) - picture).mean() for image in stored]
    assert losses == sorted(losses)
    assert losses[0] < losses[2] / 2
