import numpy as np
import pytest

from semenet import metrics

IS_TRUE = np.array([True, True, False, True, False, False, True, False])
SCORE = np.array([0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.1], np.float32)


@pytest.mark.parametrize(
    ("target", "threshold"),
    [(0.25, 0.9), (0.5, 0.8), (0.51, 0.7), (0.75, 0.7), (0.76, 0.4), (1, 0.4), (0.01, 0.9)],
)
def test_the_highest_threshold_that_reaches_a_sensitivity(target, threshold):
    assert metrics.choose_threshold(IS_TRUE, SCORE, sensitivity=target) == float(np.float32(threshold))


@pytest.mark.parametrize(
    # 0.8 is the score of a positive and a negative, which are decided alike; the next threshold is 0.9.
    ("target", "threshold"),
    [(0.25, 0.4), (0.26, 0.6), (0.5, 0.6), (0.75, 0.7), (0.76, 0.9), (1, 0.9)],
)
def test_the_lowest_threshold_that_reaches_a_specificity(target, threshold):
    assert metrics.choose_threshold(IS_TRUE, SCORE, specificity=target) == float(np.float32(threshold))


@pytest.mark.parametrize("target", ["sensitivity", "specificity"])
@pytest.mark.parametrize("seed", range(20))
def test_no_other_score_is_better(target, seed):
    generator = np.random.default_rng(seed)
    is_true = generator.random(40) < 0.3
    is_true[:2] = [True, False]
    score = np.round(generator.random(40), 1).astype(np.float32)
    share = generator.choice([0.1, 0.5, 0.9, 1.0])
    fits = [
        value
        for value in score
        if ((score >= value)[is_true] if target == "sensitivity" else (score < value)[~is_true]).mean()
        >= share
    ]
    best = max if target == "sensitivity" else min
    found = metrics.choose_threshold(is_true, score, **{target: share})
    assert found == (float(best(fits)) if fits else None)
    if fits:
        assert metrics.metrics_at_threshold(is_true, score, found)[target] >= share


def test_a_target_that_is_a_share_of_the_images_is_reached_exactly():
    is_true = np.repeat([True, False], [10, 10])
    score = np.concatenate([np.arange(10), np.arange(10)]) / 10
    assert metrics.choose_threshold(is_true, score, sensitivity=0.7) == 0.3
    assert metrics.choose_threshold(is_true, score, specificity=0.7) == 0.7


def test_an_unreachable_or_undefined_target_has_no_threshold():
    assert metrics.choose_threshold(np.array([False, True]), np.array([0.9, 0.1]), specificity=0.5) is None
    for value in (True, False):
        for target in ("sensitivity", "specificity"):
            alone = np.full(3, value)
            assert metrics.choose_threshold(alone, np.arange(3.0), **{target: 0.5}) is None


def test_metrics_at_a_threshold_equal_the_values_computed_by_hand():
    assert metrics.metrics_at_threshold(IS_TRUE, SCORE, float(SCORE[1])) == {
        "sensitivity": 2 / 4,
        "specificity": 3 / 4,
        "ppv": 2 / 3,
        "npv": 3 / 5,
        "true_positives": 2,
        "false_positives": 1,
        "true_negatives": 3,
        "false_negatives": 2,
    }
    nobody = metrics.metrics_at_threshold(IS_TRUE, SCORE, 2)
    assert (nobody["sensitivity"], nobody["ppv"], nobody["npv"]) == (0, None, 0.5)
    all_true = metrics.metrics_at_threshold(np.ones(2, bool), np.array([0.1, 0.9]), 0.5)
    assert (all_true["specificity"], all_true["npv"]) == (None, 0)


def test_a_threshold_read_from_json_equals_its_score():
    score = np.float32([0.1, 0.7])
    threshold = metrics.choose_threshold(np.array([False, True]), score, sensitivity=1)
    assert float(repr(threshold)) == threshold == float(score[1])
    assert metrics.metrics_at_threshold(np.array([False, True]), score, threshold)["true_positives"] == 1


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        # By confidence: 0.9 correct, 0.8 correct and 0.8 wrong, 0.7 correct, 0.6 wrong.
        (1, (0.9, 1 / 5, 1)),
        (0.75, (0.7, 4 / 5, 3 / 4)),
        (0.7, (0.7, 4 / 5, 3 / 4)),
        (0.6, (0.6, 1, 3 / 5)),
    ],
)
def test_the_lowest_confidence_that_reaches_an_accuracy(target, expected):
    confidence = np.array([0.7, 0.8, 0.6, 0.9, 0.8])
    true = np.array([0, 0, 1, 0, 1])
    found = metrics.choose_abstention(true, np.stack([confidence, 1 - confidence], axis=1), target)
    assert tuple(found[name] for name in ("confidence", "coverage", "accuracy")) == pytest.approx(expected)


def test_an_accuracy_that_no_confidence_reaches():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert metrics.choose_abstention(np.array([1, 0]), probabilities, 0.9) is None


@pytest.mark.parametrize("target", [0, -0.1, 1.01, 90, np.nan])
def test_a_target_outside_0_to_1_raises(target):
    for name in ("sensitivity", "specificity"):
        with pytest.raises(ValueError, match=f"The target {name} must be .* Received: {target}"):
            metrics.choose_threshold(IS_TRUE, SCORE, **{name: target})
    with pytest.raises(ValueError, match="The target accuracy"):
        metrics.choose_abstention(np.array([0, 1]), np.full((2, 2), 0.5), target)


def test_invalid_decisions_raise():
    for both in ({}, {"sensitivity": 0.9, "specificity": 0.9}):
        with pytest.raises(ValueError, match="either a sensitivity or a specificity. Received"):
            metrics.choose_threshold(IS_TRUE, SCORE, **both)
    for is_true, score in ((IS_TRUE[:3], SCORE), (IS_TRUE.astype(int), SCORE), (IS_TRUE[:0], SCORE[:0])):
        with pytest.raises(ValueError, match="an array \\(N,\\) of bool"):
            metrics.metrics_at_threshold(is_true, score, 0.5)
    with pytest.raises(ValueError, match="finite. Received: 8 that are not"):
        metrics.metrics_at_threshold(IS_TRUE, SCORE * np.nan, 0.5)
    with pytest.raises(ValueError, match="Received: NaN"):
        metrics.metrics_at_threshold(IS_TRUE, SCORE, np.nan)
