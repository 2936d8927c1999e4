import cv2
import numpy as np
import pytest
import tensorflow as tf

from semenet.data.phantom.frontal import draw_radiograph
from semenet.inference.lung_plausibility import CHECKS, count_pieces, failed_lung_checks


def chest(size=200, shift=(0, 0), width=50, height=120):
    """Two rectangles side by side."""
    mask = np.zeros((size, size), bool)
    for left in (40, 110):
        top = 40 + shift[0]
        mask[top : top + height, left + shift[1] : left + shift[1] + width] = True
    return mask


def bridge():
    """A bar from one lung to the other."""
    middle = np.abs(np.arange(200) - 100)
    return (middle[:, None] < 4) & (middle < 40)


def lung(columns, top, cells):
    """One lung as a 64 x 64 mask: `cells` cells, row by row from `top`, between two columns."""
    mask = np.zeros((64, 64), bool)
    left, right = columns
    rows, rest = divmod(cells, right - left)
    mask[top : top + rows, left:right] = True
    mask[top + rows, left : left + rest] = True
    assert mask.sum() == cells
    return mask


def failed(mask):
    """Names of the checks that the mask fails."""
    flags = failed_lung_checks(tf.constant(mask[np.newaxis])).numpy()[0]
    return [name for name, wrong in zip(CHECKS, flags, strict=True) if wrong]


def test_two_lungs_pass_at_any_size_and_aspect():
    assert failed(chest()) == []
    tall = cv2.resize(chest().astype("uint8"), (97, 301), interpolation=cv2.INTER_NEAREST) > 0
    assert failed(tall) == []
    assert failed(draw_radiograph("bacteria", size=128, seed=3).lungs) == []


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.zeros((64, 64), bool), ["area", "count", "position"]),
        (np.ones((64, 64), bool), ["area", "count"]),
        (chest(width=8, height=40), ["area"]),
        (chest() & (np.arange(200) < 100), ["count", "position"]),
        (chest(shift=(40, 0), height=100) & (np.arange(200) < 400), []),
        (chest(shift=(-40, 0), height=60), ["position"]),
        (
            chest() | bridge(),
            ["count"],
        ),
    ],
    ids=["nothing", "everything", "specks", "one side", "low", "high", "grown together"],
)
def test_each_implausible_mask_fails_the_expected_checks(mask, expected):
    assert failed(mask) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    # 0.07 and 0.70 of 64 x 64 cells are 286.7 and 2867.2 cells.
    [(286, ["area"]), (287, []), (2867, []), (2868, ["area"])],
)
def test_limits_of_the_area(cells, expected):
    width, top = (12, 20) if cells < 1000 else (31, 8)
    left, right = (31 - width, 31), (33, 33 + width)
    mask = lung(left, top, cells // 2) | lung(right, top, cells - cells // 2)
    assert mask.sum() == cells
    assert failed(mask) == expected


@pytest.mark.parametrize(
    ("left", "expected"), [(199, ["position"]), (201, []), (799, []), (801, ["position"])]
)
def test_limits_of_the_left_half(left, expected):
    """Of a mask of 1000 cells, between 0.20 and 0.80 must lie in the left half of the image."""
    mask = lung((6, 31), 14, left) | lung((33, 58), 14, 1000 - left)
    assert mask[:, :32].sum() == left
    assert failed(mask) == expected


@pytest.mark.parametrize(
    ("top", "height", "expected"),
    # Centres at 12.5, 13, 44.5 and 45 of 64 rows; the limits 0.20 and 0.70 are at 12.8 and 44.8.
    [(4, 17, ["position"]), (5, 16, []), (36, 17, []), (37, 16, ["position"])],
)
def test_limits_of_the_centre(top, height, expected):
    mask = lung((10, 30), top, 20 * height) | lung((34, 54), top, 20 * height)
    assert failed(mask) == expected


@pytest.mark.parametrize(("third", "expected"), [(99, []), (101, ["count"])])
def test_a_piece_counts_from_a_tenth_of_the_mask_on(third, expected):
    rest = 1000 - third
    mask = lung((6, 31), 10, rest // 2) | lung((33, 58), 10, rest - rest // 2) | lung((6, 26), 40, third)
    assert mask.sum() == 1000
    assert failed(mask) == expected


def test_pieces_are_counted_as_by_opencv():
    rng = np.random.default_rng(0)
    noise = np.stack(
        [cv2.GaussianBlur(rng.normal(size=(64, 64)), (0, 0), 2 + n) > 0.02 * n for n in range(12)]
    )
    expected = []
    for mask in noise:
        *_, stats, _ = cv2.connectedComponentsWithStats(mask.astype("uint8"), connectivity=8)
        expected.append((stats[1:, cv2.CC_STAT_AREA] >= 0.1 * mask.sum()).sum())
    assert len(set(expected)) > 2
    assert count_pieces(tf.constant(np.stack(noise))).numpy().tolist() == expected
