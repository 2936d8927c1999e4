import pytest

from semenet.training.loop.progress import TrainingCost, duration_words, smaller_training


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3570, "1 h"),
        (7260, "2 h 1 min"),
        (172_740, "47 h 59 min"),
        (172_800, "2 days"),
        (180_000, "2 days 2 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, words):
    assert duration_words(seconds) == words


def test_a_lower_limit_says_so():
    cost = TrainingCost(12.0, 16, 4676, 80, 280_800.0, at_least=True)
    assert cost.describe() == (
        "more than 12.00 s a step of 16 images, 4,676 images an epoch, 80 epochs: more than 3 days 6 h "
        "to the end, without validation"
    )


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((512, 1.0, 80), "--input-size 64 --width 0.25 --epochs 8"),
        ((64, 1.0, 8), "--width 0.25"),
        ((64, 0.25, 8), None),
        ((32, 0.125, 2), None),
    ],
)
def test_the_smaller_training_changes_what_is_larger(given, options):
    assert smaller_training(*given) == options
