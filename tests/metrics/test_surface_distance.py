import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from semenet import metrics


def boundary_points(mask):
    """Finds the pixels inside with a neighbour above, below, left or right outside the mask or the image."""
    padded = np.pad(mask, 1)
    neighbours = [padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]]
    return np.argwhere(mask.astype(bool) & ~np.logical_and.reduce(neighbours))


def brute_force(true, predicted):
    """Computes the distance from the least distances of all pairs of pixels."""
    distances = cdist(boundary_points(true), boundary_points(predicted))
    return max(np.percentile(distances.min(axis=axis), 95) for axis in (0, 1))


def blobs(seed, side=(61, 47), level=0.0):
    """Draws smoothed noise above a level: regions with holes and islands, some cut by the image's edge."""
    noise = np.random.default_rng(seed).normal(size=side)
    return cv2.GaussianBlur(noise, (0, 0), 4) > level * 0.07


def rectangle(rows, columns, side=(40, 40)):
    mask = np.zeros(side, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def distance(true, predicted):
    (found,) = metrics.hausdorff95(true[None], predicted[None])
    return found


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_distance_agrees_with_all_pairs_of_boundary_pixels(level):
    true = np.stack([blobs(seed, level=level) for seed in range(8)])
    predicted = np.stack([blobs(seed + 100) for seed in range(8)])
    expected = [brute_force(*pair) for pair in zip(true, predicted, strict=True)]
    assert min(expected) > 1
    found = metrics.hausdorff95(true, predicted)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(metrics.hausdorff95(predicted, true), found)


def test_the_boundary_equals_that_of_scipy_s_erosion():
    """As in MONAI, which erodes with SciPy, where everything outside the image is outside the mask."""
    for seed in range(4):
        mask = blobs(seed)
        eroded = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        np.testing.assert_array_equal(boundary_points(mask), eroded)
        assert ((eroded == 0) | (eroded == np.array(mask.shape) - 1)).any(), "no blob leaves the image"


def test_distances_of_lines_equal_those_computed_by_hand():
    """Each pixel of a line is boundary. Shifted sideways by 7, each is 7 away in both directions."""
    assert distance(rectangle((5, 25), (10, 11)), rectangle((5, 25), (17, 18))) == 7
    # 20 pixels to the first of them: distances 0 to 19, and 0.95 * 19 = 18.05.
    assert distance(rectangle((5, 25), (10, 11)), rectangle((5, 6), (10, 11))) == pytest.approx(18.05)
    # Steps of 3 and 4 are a distance of 5.
    assert distance(rectangle((5, 6), (10, 11)), rectangle((8, 9), (14, 15))) == 5


def test_distances_of_squares_equal_those_computed_by_hand():
    """A square of 20 pixels a side, 3 inside a larger one of 26.

    The larger one's boundary has 100 pixels: 80 face the smaller one, 3 away; each of its corners stands
    sqrt(18) away, the next to either side sqrt(13), then sqrt(10). Sorted, ranks 88 to 95 are sqrt(13), and
    0.95 of 99 is 94.05. All of the smaller one's pixels lie 3 from the larger one's.
    """
    small, large = rectangle((10, 30), (10, 30)), rectangle((7, 33), (7, 33))
    assert distance(small, large) == pytest.approx(np.sqrt(13))
    assert distance(small, small) == 0


def test_one_boundary_pixel_in_twenty_is_ignored():
    """A square has 60 boundary pixels; with 2 pixels far away, ranks 60 and 61 of 62 are not 0."""
    square = rectangle((2, 18), (2, 18))
    # 0.95 * 61 = 57.95.
    assert distance(square, square | rectangle((38, 39), (36, 38))) == 0
    # With 5 pixels, 0.95 * 64 = 60.8: among their distances to the corner (17, 17).
    expected = 0.2 * np.hypot(21, 16) + 0.8 * np.hypot(21, 17)
    assert distance(square, square | rectangle((38, 39), (33, 38))) == pytest.approx(expected)


def test_a_hole_has_a_boundary():
    """A square of 8 has 28 boundary pixels; a hole of one pixel adds the 4 around it."""
    whole = rectangle((10, 18), (10, 18))
    pierced = whole & ~rectangle((14, 15), (14, 15))
    # (13, 14) and (14, 13) lie 3 from row and column 10, (15, 14) and (14, 15) 2 from 17: ranks 28 to 31 are
    # 2, 2, 3, 3, and 0.95 * 31 = 29.45.
    assert distance(whole, pierced) == pytest.approx(2.45)


def test_the_edge_of_the_image_is_a_boundary_if_a_mask_ends_there():
    """Half the image and the whole image, whose boundary is the edge of the image."""
    left, whole = rectangle((0, 40), (0, 20)), np.ones((40, 40), bool)
    # Of the 156 pixels of the edge, the 40 of column 39 are 20 away from column 19: more than a twentieth.
    assert distance(left, whole) == 20
    # Rows 0 and 39 are 1 away from rows 1 and 38.
    assert distance(whole, rectangle((1, 39), (1, 39))) == 1


def test_empty_masks():
    empty, square = np.zeros((40, 40), bool), rectangle((5, 9), (5, 9))
    found = metrics.hausdorff95(np.stack([empty, empty, square]), np.stack([empty, square, empty]))
    np.testing.assert_array_equal(found, [0, np.nan, np.nan])


def test_dtype_and_a_channel_axis_change_nothing():
    true, predicted = np.stack([blobs(0), blobs(1)]), np.stack([blobs(2), blobs(3)])
    found = metrics.hausdorff95(true, predicted)
    for dtype in (np.uint8, np.float32, np.int64):
        again = metrics.hausdorff95(true[..., None].astype(dtype), predicted[..., None].astype(dtype))
        np.testing.assert_array_equal(again, found)
    one_pixel = np.ones((3, 1, 1), bool)
    np.testing.assert_array_equal(metrics.hausdorff95(one_pixel, one_pixel), [0, 0, 0])


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        (np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), "one or more images"),
        (np.zeros((2, 4, 4)), np.zeros((2, 4, 4, 1)), "the same shape.*Received: shapes"),
        (np.zeros((4, 4)), np.zeros((4, 4)), r"\(N, H, W\)"),
        (np.full((1, 2, 2), 255), np.zeros((1, 2, 2)), "0 outside and 1 inside.*to 255"),
        (np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.5), "to 0.5. Threshold"),
    ],
)
def test_invalid_masks_raise(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        metrics.hausdorff95(true, predicted)


def test_overlap_computes_the_distance_only_on_request():
    true, predicted = np.stack([blobs(0), blobs(1)]), np.stack([blobs(2), blobs(3)])
    probabilities = np.where(predicted, 0.5, 0.49)
    without = metrics.overlap(true, probabilities)
    assert list(without) == ["dice", "iou", "mean_iou"]
    assert list(metrics.mean_overlap(without)) == ["dice", "iou", "mean_iou", "count"]
    assert "hausdorff95" not in metrics.segmentation(true, probabilities)
    scores = metrics.overlap(true, probabilities, surface=True)
    np.testing.assert_array_equal(scores["hausdorff95"], metrics.hausdorff95(true, predicted))
    for name, values in without.items():
        np.testing.assert_array_equal(scores[name], values)
    # Another threshold gives other masks.
    assert np.isnan(metrics.overlap(true, probabilities, 0.6, surface=True)["hausdorff95"]).all()


def test_means_leave_undefined_distances_out_and_count_them():
    true = np.zeros((3, 40, 40))
    true[:2] = rectangle((5, 25), (10, 11))
    probabilities = np.zeros((3, 40, 40))
    probabilities[0] = rectangle((5, 25), (17, 18))
    means = metrics.mean_overlap(metrics.overlap(true, probabilities, surface=True))
    # 7 apart; undefined; both empty, 0.
    assert means["hausdorff95"] == 3.5
    assert means["hausdorff95_undefined"] == 1
    assert means["count"] == 3
    assert means["dice"] == pytest.approx(1 / 3)
    none = metrics.mean_overlap(metrics.overlap(true[1:2], probabilities[1:2], surface=True))
    assert (none["hausdorff95"], none["hausdorff95_undefined"]) == (None, 1)
