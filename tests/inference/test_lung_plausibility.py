import cv2
import numpy as np
import pytest
import tensorflow as tf

from semenet.data.phantom.frontal import draw_radiograph
from semenet.inference.lung_plausibility import CHECKS, count_pieces, failed_checks


def chest(size=200, shift=(0, 0), width=50, height=120):
    """Two rectangles for lungs, side by side."""
    mask = np.zeros((size, size), bool)
    for left in (40, 110):
        top = 40 + shift[0]
        mask[top : top + height, left + shift[1] : left + shift[1] + width] = True
    return mask


def bridge():
    """A bar from one lung to the other."""
    middle = np.abs(np.arange(200) - 100)
    return (middle[:, None] < 4) & (middle < 40)


def failed(mask):
    flags = failed_checks(tf.constant(mask[np.newaxis])).numpy()[0]
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
            chest() | (np.abs(np.arange(200) - 100)[:, None] < 4) & (np.abs(np.arange(200) - 100) < 40),
            ["count"],
        ),
    ],
    ids=["nothing", "everything", "specks", "one side", "low", "high", "grown together"],
)
def test_what_cannot_be_lungs_is_told_by_its_check(mask, expected):
    assert failed(mask) == expected


def test_pieces_are_opencv_s():
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
