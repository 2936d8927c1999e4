"""Metrics of partial labels: counted where the label decides, left out elsewhere, and said so."""

import numpy as np
import pytest

from semenet import metrics
from semenet.errors import SemenetError
from semenet.metrics.resampled_metrics import resampled_classification

CLASSES = ("normal", "bacteria", "virus")
# normal, normal, bacteria, virus, and three times bacteria|virus.
POSSIBLE = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 1, 1], [0, 1, 1]])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.3, 0.4, 0.3],
        [0.2, 0.7, 0.1],
        [0.1, 0.6, 0.3],
        [0.1, 0.2, 0.7],
        [0.2, 0.5, 0.3],
        [0.6, 0.2, 0.2],
    ]
)


def test_each_metric_by_hand():
    found = metrics.classification(POSSIBLE, PROBABILITIES, CLASSES)
    # Complete labels: predicted normal, bacteria, bacteria, bacteria.
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    normal = found["per_class"]["normal"]
    # All seven images decide normal: of the others 1 of 5 is predicted normal.
    assert normal["specificity"] == pytest.approx(4 / 5)
    assert normal["ppv"] == normal["precision"] == pytest.approx(1 / 2)
    assert normal["npv"] == pytest.approx(4 / 5)
    assert normal["f1"] == pytest.approx(2 * 1 / (2 + 2))
    # Normal scores 0.8 and 0.3 against 0.2, 0.1, 0.1, 0.2, 0.6: 5 + 4 of 10 pairs.
    assert normal["auroc"] == pytest.approx(0.9)
    # Four images decide bacteria: 0.7 against 0.1, 0.4, 0.6.
    assert found["per_class"]["bacteria"]["auroc"] == 1
    assert found["per_class"]["bacteria"]["specificity"] == pytest.approx(1 / 3)
    assert found["count"] == 7
    everywhere = ("accuracy", "balanced_accuracy", "confusion_matrix", "brier", "ece")
    assert found["partial_labels"] == {
        "count": 3,
        "left_out": dict.fromkeys(everywhere, 3)
        | {"per_class.normal": 0, "per_class.bacteria": 3, "per_class.virus": 3},
    }


def test_micro_auroc_is_over_the_decided_decisions():
    known = ~POSSIBLE.astype(bool) | (POSSIBLE.sum(axis=1, keepdims=True) == 1)
    true, score = POSSIBLE[known] > 0, PROBABILITIES[known]
    pairs = (score[true][:, None] > score[~true]) + 0.5 * (score[true][:, None] == score[~true])
    assert known.sum() == 15
    assert metrics.micro_auroc(POSSIBLE, PROBABILITIES) == pytest.approx(pairs.mean())


def random_set(seed, count=120):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([1, 1, 1], count)
    possible = np.eye(3)[rng.integers(0, 3, count)]
    partial = rng.random(count) < 0.3
    possible[partial] = 1 - np.eye(3)[rng.integers(0, 3, partial.sum())]
    return possible, probabilities, rng


def test_complete_labels_give_the_same_bits_in_both_forms():
    _, probabilities, rng = random_set(0)
    index = rng.integers(0, 3, len(probabilities))
    possible = np.eye(3, dtype="float32")[index]
    weights = rng.integers(0, 4, (6, len(index)))
    assert metrics.classification(index, probabilities, CLASSES) == metrics.classification(
        possible, probabilities, CLASSES
    )
    first, second = (
        resampled_classification(truth, probabilities, CLASSES, weights) for truth in (index, possible)
    )
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@pytest.mark.parametrize("seed", range(3))
def test_a_resample_has_the_metrics_of_its_repeated_images(seed):
    possible, probabilities, rng = random_set(seed)
    weights = rng.integers(0, 4, (4, len(possible)))
    found = resampled_classification(possible, probabilities, CLASSES, weights)
    for row, weight in enumerate(weights):
        images = np.repeat(np.arange(len(possible)), weight)
        values = metrics.classification(possible[images], probabilities[images], CLASSES)
        expected = metrics.add_dotted_keys(values)
        for name in set(found) - {"brier", "ece"}:
            assert found[name][row] == pytest.approx(expected[name]), name
        images = images[possible[images].sum(axis=1) == 1]
        complete = possible[images].argmax(axis=1), probabilities[images]
        assert found["brier"][row] == pytest.approx(metrics.brier_score(*complete))
        assert found["ece"][row] == pytest.approx(metrics.expected_calibration_error(*complete))


def test_without_complete_labels_most_is_undefined():
    found = metrics.classification(POSSIBLE[4:], PROBABILITIES[4:], CLASSES)
    assert [found[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")] == [
        None
    ] * 4
    assert found["micro_auroc"] is None
    assert found["per_class"]["normal"]["specificity"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("possible", [POSSIBLE * 0.5, POSSIBLE * [1, 0, 0], POSSIBLE[:, :2]])
def test_wrong_possible_classes(possible):
    with pytest.raises(SemenetError, match="0 or 1, with the shape"):
        metrics.classification(possible, PROBABILITIES, CLASSES)
