import cv2
import numpy as np
import pytest
import tensorflow as tf

from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.transforms import lung_view_in_graph as in_graph
from semenet.data.transforms import lung_view_on_host as on_host
from semenet.data.transforms.lung_plausibility import CHECKS, check_lungs
from semenet.data.transforms.lung_view import LungView
from semenet.data.transforms.lung_view_on_host import Box
from semenet.errors import SemenetError
from semenet.inference.lung_plausibility import failed_lung_checks, lung_cells


def chest(size=(200, 160), lungs=((40, 30, 150, 70), (50, 90, 160, 140))):
    """Two rectangles, each given as top, left, bottom and right."""
    mask = np.zeros(size, np.uint8)
    for top, left, bottom, right in lungs:
        mask[top:bottom, left:right] = 1
    return mask


def textured(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@tf.function(input_signature=[tf.TensorSpec((None, None), tf.uint8), tf.TensorSpec((None, None), tf.uint8)])
def everything_in_graph(image, mask):
    """All three views, in one trace for images of any size."""
    mask = mask != 0
    usable = ~tf.reduce_any(failed_lung_checks(mask[tf.newaxis]))
    cells = lung_cells(mask[tf.newaxis])[0]
    return [
        in_graph.view_lungs(image, mask, usable, cells, size, view)
        for size, view in zip(SIZES, VIEWS, strict=True)
    ]


SIZES = ((64, 64), (33, 47), (40, 40))
VIEWS = (LungView(box=True), LungView(box=True, margin=0.137, standardize=True), LungView(standardize=True))


def random_masks():
    """Masks of many kinds and odd sizes: lungs, blobs, specks, single pixels, the border, nothing."""
    rng = np.random.default_rng(7)
    for number in range(24):
        height, width = rng.integers(1, 300, 2)
        kind = number % 6
        if kind == 0:
            mask = draw_radiograph("normal", size=97, seed=number).lungs.astype(np.uint8)
            mask = cv2.resize(mask, (int(width), int(height)), interpolation=cv2.INTER_NEAREST)
        elif kind == 1:
            noise = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 6)
            mask = (noise > 0.02).astype(np.uint8)
        elif kind == 2:
            mask = np.zeros((height, width), np.uint8)
            mask[rng.integers(height), rng.integers(width)] = 1
        elif kind == 3:
            mask = chest((200, 161)) | (rng.random((200, 161)) < 0.001).astype(np.uint8)
        elif kind == 4:
            mask = chest((200, 160), ((20, 0, 200, 70), (0, 90, 150, 160)))
        else:
            mask = np.full((height, width), number % 4 == 1, np.uint8)
        yield mask
    yield np.ones((1, 1), np.uint8)
    yield np.zeros((1, 1), np.uint8)
    # A spiral: the longest path through one piece of a mask.
    spiral = np.zeros((64, 64), np.uint8)
    top, left, bottom, right = 0, 0, 63, 63
    while top < bottom and left < right:
        spiral[top, left : right + 1] = spiral[top : bottom + 1, right] = spiral[bottom, left : right + 1] = 1
        spiral[top + 2 : bottom + 1, left] = 1
        spiral[top + 2, left : left + 3] = 1
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    yield spiral


def test_host_and_graph_are_equal_to_the_bit():
    plausible = 0
    for number, mask in enumerate(random_masks()):
        image = textured(mask.shape, number)
        found = everything_in_graph(image, mask)
        for size, view, (in_graph_image, in_graph_mask, in_graph_box) in zip(
            SIZES, VIEWS, found, strict=True
        ):
            viewed = on_host.view_lungs(image, mask, size, view)
            np.testing.assert_array_equal(in_graph_image, viewed.image, str((number, view)))
            np.testing.assert_array_equal(in_graph_mask, viewed.mask, str((number, view)))
            assert tuple(in_graph_box.numpy()) == viewed.box
        plausible += not viewed.failed.any()
    assert 6 <= plausible <= 20


def test_both_check_masks_alike():
    for mask in random_masks():
        failed, cells = check_lungs(mask)
        np.testing.assert_array_equal(failed, failed_lung_checks(tf.constant(mask[None] != 0))[0])
        np.testing.assert_array_equal(cells, lung_cells(tf.constant(mask[None] != 0))[0])


def test_box_by_hand():
    """The lungs span rows 40 to 160 of 200 and columns 30 to 140 of 160, so 120 x 110 pixels."""
    image, mask = textured((200, 160)), chest()
    assert on_host.find_box(mask, LungView(box=True, margin=0))[0] == Box(40, 30, 160, 140)
    # 4 % of 120 and 110 are 4.8 and 4.4 pixels.
    viewed = on_host.view_lungs(image, mask, (129, 118), LungView(box=True))
    assert viewed.box == Box(35, 26, 165, 144)
    viewed = on_host.view_lungs(image, mask, (130, 118), LungView(box=True))
    np.testing.assert_array_equal(viewed.image, image[35:165, 26:144])
    np.testing.assert_array_equal(viewed.mask, mask[35:165, 26:144])
    assert viewed.flags == ""


def test_half_a_pixel_of_margin_is_rounded_up():
    """5 % of 120 and 110 pixels are 6 and 5.5 pixels."""
    mask = chest() != 0
    _, cells = check_lungs(mask)
    assert on_host.lung_box(mask, cells, 50) == Box(34, 24, 166, 146)
    assert tuple(in_graph.lung_box(tf.constant(mask), tf.constant(cells), 50).numpy()) == (34, 24, 166, 146)


def test_box_ends_at_the_border_and_leaves_specks_out():
    mask = chest((200, 160), ((0, 0, 150, 60), (20, 100, 199, 158)))
    assert on_host.find_box(mask, LungView(box=True))[0] == Box(0, 0, 200, 160)
    specked = chest()
    specked[2, 2] = specked[195, 157] = 1
    assert on_host.find_box(specked, LungView(box=True, margin=0))[0] == Box(40, 30, 160, 140)


@pytest.mark.parametrize("mask", [np.zeros((90, 70), np.uint8), chest(lungs=((40, 30, 150, 70),))])
def test_an_implausible_mask_shows_the_whole_image(mask):
    image = textured(mask.shape)
    viewed = on_host.view_lungs(image, mask, mask.shape, LungView(box=True))
    np.testing.assert_array_equal(viewed.image, image)
    assert viewed.mask.all()
    assert viewed.box == Box(0, 0, *mask.shape)
    assert set(viewed.flags.split()) <= set(CHECKS)
    assert viewed.flags
    standard = on_host.view_lungs(image, mask, mask.shape, LungView(box=True, standardize=True))
    np.testing.assert_array_equal(standard.image, on_host.standardize(image, np.ones_like(image)))


def test_standard_levels_by_hand():
    """Of 100 levels 50 to 149 inside the mask, 2 lie at or below 51 and 98 at or below 147."""
    image = np.concatenate([np.arange(50, 150), [0, 255, 99]]).astype(np.uint8)[np.newaxis]
    mask = (np.arange(103) < 100).astype(np.uint8)[np.newaxis]
    found = on_host.standardize(image, mask)[0]
    assert found[51 - 50] == 28
    assert found[147 - 50] == 228
    # 28 + 200 * 48 / 96, 28 - 200 * 1 / 96 = 25.9, and clipped values.
    assert found[99 - 50] == 128 == found[102]
    assert found[0] == 26
    assert found[100] == 0
    assert found[101] == 255


@pytest.mark.parametrize("mask", [0, 1])
def test_a_flat_image_stays_as_it_is(mask):
    image = np.full((5, 7), 90, np.uint8)
    inside = np.full_like(image, mask)
    np.testing.assert_array_equal(on_host.standardize(image, inside), image)
    np.testing.assert_array_equal(in_graph.standardize(tf.constant(image), tf.constant(inside)), image)


def test_words_and_rules():
    assert LungView().describe() == ""
    assert not LungView().needs_mask
    assert LungView(True).describe() == "cut to the lungs' box with a margin of 4 %"
    assert "28 and 228" in LungView(standardize=True).describe()
    with pytest.raises(SemenetError, match=r"\[0, 0.5\]"):
        LungView(True, 0.6)
