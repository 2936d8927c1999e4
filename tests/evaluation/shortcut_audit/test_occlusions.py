import numpy as np
import pytest

from semenet.evaluation.shortcut_audit import occlusions
from semenet.inference.lung_masks import keep_only_lungs

SIDE = 100


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(1, 256, (3, SIDE, SIDE, 1), dtype=np.uint8)


@pytest.fixture
def masks():
    """Lungs as one block in the middle; in the last image it reaches into a corner."""
    masks = np.zeros((3, SIDE, SIDE), bool)
    masks[:, 35:70, 30:70] = True
    masks[2, :70, :70] = True
    return masks


def test_lungs_alone_and_without(images, masks):
    alone, without = keep_only_lungs(images, masks), occlusions.without_lungs(images, masks)
    assert (alone[~masks] == 0).all()
    assert (alone[masks] == images[masks]).all()
    assert (without[masks] == 0).all()
    # A margin of 2 % of 100 pixels hides the outline; the next pixel is unchanged.
    assert without[0, 50, 28, 0] == 0
    assert without[0, 50, 27, 0] == images[0, 50, 27, 0]


def test_outlines_alone_remove_the_image(images, masks):
    outlines = occlusions.outlines_alone(images, masks)
    assert outlines.dtype == np.uint8
    assert outlines.shape == images.shape
    assert (outlines[masks] == 128).all()
    assert (outlines[~masks] == 0).all()


def test_corners_are_filled_with_their_median(images, masks):
    flattened = occlusions.without_corners(images, masks)
    for rows in (slice(30), slice(70, None)):
        for columns in (slice(25), slice(75, None)):
            corner = flattened[0, rows, columns, 0]
            assert (corner == np.rint(np.median(images[0, rows, columns, 0]))).all()
    assert (flattened[0, 30:70] == images[0, 30:70]).all()
    assert (flattened[0, :, 25:75] == images[0, :, 25:75]).all()


def test_a_letter_in_a_corner_is_removed(masks):
    images = np.full((3, SIDE, SIDE, 1), 60, np.uint8)
    plain = occlusions.without_corners(images, masks)
    images[:, 8:16, 80:86] = 250
    assert (occlusions.without_corners(images, masks) == plain).all()


def test_lungs_in_a_corner_are_kept(images, masks):
    for flatten in (occlusions.without_corners, occlusions.without_border):
        flattened = flatten(images, masks)
        assert (flattened[2][masks[2]] == images[2][masks[2]]).all()


def test_border(images, masks):
    flattened = occlusions.without_border(images, masks)
    assert (flattened[0, 10:90, 10:90] == images[0, 10:90, 10:90]).all()
    assert len(np.unique(flattened[0, :10, 20:80])) == 1
    assert len(np.unique(flattened[0, 20:80, 95:])) == 1


def test_views_support_three_channels_and_do_not_change_the_original(images, masks):
    colour = np.repeat(images, 3, axis=-1)
    before = colour.copy()
    for view in occlusions.image_views(False).values():
        assert view(colour, masks).shape == colour.shape
    assert (colour == before).all()


def test_views_of_a_network_that_takes_lungs_alone(images, masks):
    views = occlusions.image_views(True)
    assert list(views) == ["as_fed", "without_lungs"]
    assert (views["as_fed"](images, masks) == keep_only_lungs(images, masks)).all()
