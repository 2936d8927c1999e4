import numpy as np
import pytest

from semenet.evaluation.drawing import example_sheets as sheets


def test_chooses_right_examples_over_the_range_and_the_most_confident_errors():
    # Class 0: right with 0.9, 0.8, 0.7, 0.6, 0.55; wrong with 0.6, 0.95, 0.7, 0.8. Class 1: one wrong.
    first = np.array([0.6, 0.9, 0.4, 0.7, 0.05, 0.8, 0.3, 0.55, 0.2, 0.75])
    probabilities = np.stack([first, 1 - first], axis=1)
    true = np.array([0] * 9 + [1])
    of_first, of_second = sheets.choose_classified(true, probabilities)
    assert first[of_first].tolist() == [0.9, 0.7, 0.55, 0.05, 0.2, 0.3]
    assert of_second == [9]


def test_chooses_nothing_for_a_class_without_images():
    chosen = sheets.choose_classified(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    assert chosen == [[0, 1], []]


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([0.5], {"worst": [0]}),
        ([0.9, 0.2, 0.5, 0.7], {"worst": [1, 2, 3], "best": [0]}),
        ([0.9, 0.2, 0.5, 0.7, 0.1, 0.3, 0.8], {"worst": [4, 1, 5], "middle": [2], "best": [0, 6, 3]}),
        (
            np.arange(20) / 20,
            {"worst": [0, 1, 2], "middle": [8, 9, 10], "best": [19, 18, 17]},
        ),
    ],
)
def test_chooses_the_worst_middle_and_best_segmentations(dice, expected):
    assert sheets.choose_segmented(np.asarray(dice)) == expected
