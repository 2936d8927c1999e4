import numpy as np
import pytest

from semenet.errors import SemenetError
from semenet.inference.array_images import as_images, grey_levels


@pytest.mark.parametrize(
    ("shape", "count"),
    [((64, 48), 1), ((64, 48, 1), 1), ((5, 64, 48), 5), ((5, 64, 48, 1), 5), ((1, 64, 48), 1)],
)
def test_one_image_is_one_with_or_without_a_channel_axis(shape, count):
    array = np.arange(np.prod(shape)).reshape(shape) % 256
    read = [grey_levels(image, "image") for image in as_images(array)]
    np.testing.assert_array_equal(np.stack(read), array.reshape(count, 64, 48))


def test_a_colour_image_is_not_taken_for_many():
    with pytest.raises(SemenetError, match=r"\(64, 48, 3\), which looks like one image with colours"):
        as_images(np.zeros((64, 48, 3)))


def test_a_list_stays_a_list():
    images = [np.zeros((64, 48)), np.zeros((32, 32, 1))]
    assert as_images(images) is images
