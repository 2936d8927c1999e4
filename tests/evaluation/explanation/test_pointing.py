"""The pointing score against values worked out by hand."""

import numpy as np
import pytest

from semenet.evaluation.explanation.pointing import mean_pointing_scores, pointing_scores
from semenet.models.receptive_fields import ReceptiveField


def test_a_map_inside_and_outside_a_region():
    heat = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    mask = np.zeros((4, 4), np.uint8)
    mask[1, 1:3] = 255
    # 1.5 of 2 inside; 2 of 16 pixels.
    assert pointing_scores(heat, mask) == {"pointing": 1, "energy": 0.75, "area": 0.125, "ratio": 6}
    mask[1, 1] = 0
    assert pointing_scores(heat, mask) == {"pointing": 0, "energy": 0.25, "area": 0.0625, "ratio": 4}


def test_a_uniform_map_scores_as_chance():
    mask = np.zeros((10, 10), bool)
    mask[2:5, 3:9] = True
    found = pointing_scores(np.ones((3, 3)), mask)
    assert found["pointing"] == found["area"] == 0.18
    assert found["energy"] == pytest.approx(0.18)
    assert found["ratio"] == pytest.approx(1)


def test_an_empty_map_points_nowhere_and_an_empty_mask_has_no_score():
    found = pointing_scores(np.zeros((2, 2)), np.ones((4, 4)))
    assert (found["pointing"], found["area"]) == (0, 1)
    assert np.isnan([found["energy"], found["ratio"]]).all()
    assert pointing_scores(np.ones((2, 2)), np.zeros((4, 4))) is None


def test_cells_are_placed_at_the_centres_of_their_receptive_fields():
    """The second cell is centred at pixel 1 of 8, although it is the middle of three."""
    heat, mask = np.array([[0.0, 1.0, 0.0]]), np.zeros((1, 8))
    mask[0, 1] = 1
    geometry = ReceptiveField((1, 3), (1, 4), (0, -3), (1, 3), (1, 8))
    assert pointing_scores(heat, mask, geometry)["pointing"] == 1
    assert pointing_scores(heat, mask)["pointing"] == 0


def test_means_and_intervals_over_patients():
    empty = {"pointing": 0.0, "energy": np.nan, "area": 0.5, "ratio": np.nan}
    hit = {"pointing": 1.0, "energy": 0.6, "area": 0.3, "ratio": 2.0}
    miss = {"pointing": 0.0, "energy": 0.2, "area": 0.4, "ratio": 0.5}
    found = mean_pointing_scores([hit, None, miss, empty, hit], ["a", "b", "b", "c", "d"])
    assert (found["count"], found["empty"]) == (4, 1)
    assert found["pointing"] == 0.5
    assert found["energy"] == pytest.approx(1.4 / 3)
    assert found["area"] == pytest.approx(1.5 / 4)
    assert found["ratio"] == pytest.approx(1.5)
    low, high = found["intervals"]["pointing"]
    assert 0 <= low < 0.5 < high <= 1
    assert mean_pointing_scores([None, None], ["a", "b"]) is None
    assert mean_pointing_scores([empty], ["a"])["energy"] is None
