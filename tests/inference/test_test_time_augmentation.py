import cv2
import numpy as np
import pytest

from semenet.inference.test_time_augmentation import INFERENCE_VIEWS, check_view_count, inference_view


def smooth_image(size=96):
    smooth = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(size, size)), (0, 0), 4)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def test_the_first_view_is_the_image_itself():
    image = smooth_image()
    first = inference_view(image, 0)
    np.testing.assert_array_equal(first, image)
    assert not np.shares_memory(first, image)


def test_the_published_views_do_not_change():
    # Published metrics were measured with these views, in this order.
    turned = [degrees for degrees, zoom in INFERENCE_VIEWS if zoom == 1]
    zoomed = [zoom for degrees, zoom in INFERENCE_VIEWS if zoom != 1]
    assert turned == [0, 5, -5, 10, -10]
    assert zoomed == pytest.approx([1.05, 1 / 1.05, 1.1, 1 / 1.1])
    for one, other in zip(INFERENCE_VIEWS[1::2], INFERENCE_VIEWS[2::2], strict=True):
        assert one[0] == -other[0]
        assert one[1] * other[1] == pytest.approx(1)


@pytest.mark.parametrize("number", range(1, len(INFERENCE_VIEWS)))
def test_each_view_is_rotated_and_scaled_about_the_centre(number):
    image = smooth_image()
    degrees, zoom = INFERENCE_VIEWS[number]
    # OpenCV's own matrix, which has the same sign of angles.
    matrix = cv2.getRotationMatrix2D((47.5, 47.5), degrees, zoom)
    expected = cv2.warpAffine(image, matrix, (96, 96), flags=cv2.INTER_LINEAR)
    assert np.abs(inference_view(image, number).astype(int) - expected).max() <= 1
    assert (inference_view(image, number) != image).mean() > 0.5


@pytest.mark.parametrize("count", [0, -1, 10])
def test_invalid_counts_are_rejected(count):
    with pytest.raises(ValueError, match=rf"averages 1 to 9 views. Received: {count}. 1 uses the"):
        check_view_count(count)


def test_every_count_up_to_the_number_of_views_is_valid():
    for count in range(1, len(INFERENCE_VIEWS) + 1):
        check_view_count(count)
