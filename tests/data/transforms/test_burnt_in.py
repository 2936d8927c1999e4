"""What covers an image or is written on it: where, in which grey level, and nowhere else."""

import numpy as np
import pytest

from semenet.data.transforms import burnt_in

GREY = np.full((100, 200), 100, np.uint8)
GREY.flags.writeable = False


def changed_box(image):
    rows, columns = np.nonzero(image != 100)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_borders_cover_their_shares_of_the_sides():
    expected = GREY.copy()
    expected[:10] = expected[80:] = 255
    expected[:, :10] = expected[:, 160:] = 255
    np.testing.assert_array_equal(burnt_in.cover_borders(GREY, (0.1, 0.2, 0.05, 0.2), 255), expected)
    np.testing.assert_array_equal(burnt_in.cover_borders(GREY, (0, 0, 0, 0), 255), GREY)


def test_collimation_darkens_outside_its_rectangle():
    found = burnt_in.collimate(GREY, (0.1, 0.2, 0.05, 0.2), 0, 0.1)
    assert (found[12:78, 12:158] == 100).all()
    for outside in (found[:8], found[83:], found[:, :8], found[:, 163:]):
        assert (outside == 10).all()


def test_collimation_is_rotated_counter_clockwise():
    found = burnt_in.collimate(GREY, (0.1, 0.1, 0.1, 0.1), 5, 0)
    # The upper side's left end moves down, its right end up.
    assert found[12, 35] == 0
    assert found[12, 165] == found[7, 165] == 100


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)])
@pytest.mark.parametrize("text", ["L", "PORTABLE"])
def test_text_stands_inside_the_image_at_its_place(place, text):
    found = burnt_in.write_text(GREY, text, place, 0.1, 255)
    top, bottom, left, right = changed_box(found)
    assert 7 <= bottom - top + 1 <= 16
    if place == (0.5, 0.5):
        assert (top + bottom) / 2 == pytest.approx(49.5, abs=5)
        assert (left + right) / 2 == pytest.approx(99.5, abs=5)
    else:
        assert (top < 12) == (place[0] == 0)
        assert (bottom > 86) == (place[0] == 1)
        assert (left < 12) == (place[1] == 0)
        assert (right > 186) == (place[1] == 1)
    assert found.max() > 200
    assert found.min() >= 100


def test_boxed_text_stands_on_the_opposite_level():
    found = burnt_in.write_text(GREY, "R", (0.5, 0.5), 0.2, 250, boxed=True)
    top, bottom, left, right = changed_box(found)
    assert found[top, left] == found[bottom, right] == 5
    assert found.max() > 200


def test_an_arrow_points_to_its_tip():
    found = burnt_in.draw_arrow(GREY, (0.5, 0.5), 0, 0.2, 255)
    *_, left, right = changed_box(found)
    assert right == pytest.approx(100, abs=4)
    assert left == pytest.approx(80, abs=4)
    # Its head makes the right half higher than the left one.
    heights = (found != 100).sum(axis=0)
    assert heights[90:].max() > heights[:88].max()
    up = changed_box(burnt_in.draw_arrow(GREY, (0.5, 0.5), 90, 0.2, 255))
    assert up[0] == pytest.approx(50, abs=4)
    assert up[1] == pytest.approx(70, abs=4)


def test_the_image_itself_is_never_changed():
    for change in (
        lambda image: burnt_in.cover_borders(image, (0.1,) * 4, 0),
        lambda image: burnt_in.collimate(image, (0.1,) * 4, 2, 0),
        lambda image: burnt_in.write_text(image, "L", (0, 0), 0.1, 255, boxed=True),
        lambda image: burnt_in.draw_arrow(image, (0.5, 0.5), 0, 0.2, 255),
    ):
        image = GREY.copy()
        assert (change(image) != GREY).any()
        np.testing.assert_array_equal(image, GREY)
