import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from semenet import metrics
from semenet.metrics.calibration import TEMPERATURES

# Confidences 0.9, 0.8, 0.55 and 0.5 (an edge of four bins, which belongs to the lower bin).
# Correct: yes, no, yes, yes.
TRUE = np.array([0, 1, 1, 0])
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.5, 0.5]])


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def overconfident(temperature, count=20_000, classes=3, seed=0):
    """Draws true classes from softmax(logits), and probabilities of a network whose logits are too large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=1.5, size=(count, classes))
    true = (softmax(logits).cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return np.minimum(true, classes - 1), softmax(logits * temperature).astype(np.float32)


def test_bins_equal_the_values_computed_by_hand():
    bins = metrics.reliability(TRUE, PROBABILITIES, bins=4)
    assert bins["count"].tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(bins["confidence"], [np.nan, 0.5, 0.55, 0.85])
    np.testing.assert_allclose(bins["accuracy"], [np.nan, 1, 1, 0.5])
    np.testing.assert_allclose(bins["edges"], [0, 0.25, 0.5, 0.75, 1])
    assert metrics.expected_calibration_error(TRUE, PROBABILITIES, bins=4) == pytest.approx(
        (0.5 + 0.45 + 2 * 0.35) / 4
    )


def test_scores_equal_the_values_computed_by_hand():
    # Squared distances 2 * 0.1^2, 2 * 0.8^2, 2 * 0.45^2, 2 * 0.5^2.
    assert metrics.brier_score(TRUE, PROBABILITIES) == pytest.approx(2 * (0.01 + 0.64 + 0.2025 + 0.25) / 4)
    expected = -np.log([0.9, 0.2, 0.55, 0.5]).mean()
    assert metrics.negative_log_likelihood(TRUE, PROBABILITIES) == pytest.approx(expected)
    independent = -np.log([0.9, 0.9, 0.2, 0.2, 0.55, 0.55, 0.5, 0.5]).sum() / 4
    found = metrics.negative_log_likelihood(TRUE, PROBABILITIES, "sigmoid")
    assert found == pytest.approx(independent)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_agrees_with_scikit_learn(bins):
    true, probabilities = overconfident(2.0, count=500)
    right, confidence = probabilities.argmax(1) == true, probabilities.max(1)
    accuracy, mean = calibration_curve(right, confidence, n_bins=bins)
    found = metrics.reliability(true, probabilities, bins)
    filled = found["count"] > 0
    np.testing.assert_allclose(found["accuracy"][filled], accuracy)
    np.testing.assert_allclose(found["confidence"][filled], mean, rtol=1e-6)
    rows = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=float)
    assert metrics.negative_log_likelihood(true, rows) == pytest.approx(log_loss(true, rows), rel=1e-9)
    true, probabilities = overconfident(2.0, count=500, classes=2)
    expected = 2 * brier_score_loss(true, probabilities[:, 1])
    assert metrics.brier_score(true, probabilities) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.3, 2.5, 9.0])
def test_a_temperature_divides_the_logits(temperature):
    logits = np.random.default_rng(1).normal(scale=3, size=(50, 4))
    found = metrics.apply_temperature(softmax(logits), temperature)
    np.testing.assert_allclose(found, softmax(logits / temperature), rtol=1e-9)
    found = metrics.apply_temperature(sigmoid(logits), temperature, "sigmoid")
    np.testing.assert_allclose(found, sigmoid(logits / temperature), rtol=1e-9, atol=1e-30)


def test_a_temperature_of_one_changes_no_bit():
    probabilities = overconfident(1.0, count=10)[1]
    assert metrics.apply_temperature(probabilities, 1) is probabilities


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [TEMPERATURES[0], 0.7, 3.0, TEMPERATURES[1]])
def test_a_temperature_does_not_change_the_predicted_class(activation, temperature):
    one, next_one = np.float32(0.4), np.nextafter(np.float32(0.4), np.float32(1))
    nearly = [[one, next_one, 0.2], [next_one, one, 0.2], [one, one, 0.2], [0.1, 0.45, 0.45]]
    extreme = [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1e-40, 1, 0]]
    unsure = [[1e-4, 2e-4, 1e-4], [0, 1e-30, 1e-31]] if activation == "sigmoid" else []
    sure = [[1, 1, 0], [np.nextafter(np.float32(1), np.float32(0)), 1, 0]] if activation == "sigmoid" else []
    probabilities = np.array([*nearly, *extreme, *unsure, *sure], np.float32)
    tempered = metrics.apply_temperature(probabilities, temperature, activation)
    assert tempered.dtype == np.float32
    assert tempered.argmax(1).tolist() == probabilities.argmax(1).tolist()
    assert ((tempered >= 0) & (tempered <= 1)).all()
    if activation == "softmax":
        np.testing.assert_allclose(tempered.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5, 6.0])
def test_a_planted_temperature_is_found(planted):
    true, probabilities = overconfident(planted)
    found = metrics.fit_temperature(true, probabilities)
    assert found["temperature"] == pytest.approx(planted, rel=0.05)
    assert found["at_bound"] is False
    before, after = (
        (metrics.negative_log_likelihood(true, p), metrics.expected_calibration_error(true, p))
        for p in (probabilities, metrics.apply_temperature(probabilities, found["temperature"]))
    )
    assert after[0] <= before[0]
    assert after[1] < 0.01


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_no_temperature_of_a_grid_has_a_lower_loss(activation):
    true, probabilities = overconfident(3.0, count=300)
    found = metrics.fit_temperature(true, probabilities, activation)["temperature"]
    columns = np.eye(3, dtype=bool)[true]

    def loss(temperature):
        if activation == "softmax":
            powers = probabilities.astype(float) ** (1 / temperature)
            return -np.log((powers / powers.sum(1, keepdims=True))[columns]).mean()
        odds = (probabilities / (1 - probabilities.astype(float))) ** (1 / temperature)
        return np.log1p(np.where(columns, 1 / odds, odds)).sum(1).mean()

    grid = np.geomspace(*TEMPERATURES, 2000)
    losses = [loss(temperature) for temperature in grid]
    assert found == pytest.approx(grid[np.argmin(losses)], rel=0.005)
    assert loss(found) <= min(losses) + 1e-9
    tempered = metrics.apply_temperature(probabilities, found, activation)
    given = metrics.negative_log_likelihood(true, tempered, activation)
    assert given == pytest.approx(loss(found), rel=1e-4)


@pytest.mark.parametrize(
    ("probabilities", "bound"), [([[0.7, 0.3], [0.4, 0.6]], 0), ([[0.3, 0.7], [0.6, 0.4]], 1)]
)
def test_only_correct_or_only_wrong_predictions_end_at_a_bound(probabilities, bound):
    found = metrics.fit_temperature(np.array([0, 1]), np.array(probabilities))
    assert found["at_bound"] is True
    assert found["temperature"] == pytest.approx(TEMPERATURES[bound], rel=1e-3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("sureness", [0.6, 0.9, 0.999, 1 - 1e-6, 1.0])
def test_correct_predictions_end_at_the_lower_bound_for_any_confidence(sureness, activation):
    """With a higher confidence the loss rounds to 0 earlier, from where on a search finds nothing."""
    true = np.arange(3).repeat(5)
    probabilities = np.where(np.eye(3, dtype=bool)[true], sureness, (1 - sureness) / 2).astype(np.float32)
    found = metrics.fit_temperature(true, probabilities, activation)
    assert found == {"temperature": TEMPERATURES[0], "at_bound": True}
    # A tie is not a mistake, and a single mistake determines a temperature.
    probabilities[0] = 0.5
    assert metrics.fit_temperature(true, probabilities, activation)["at_bound"] is True
    probabilities[0] = (0.3, 0.35, 0.35)
    found = metrics.fit_temperature(true, probabilities, activation)
    assert found["temperature"] > TEMPERATURES[0]
    assert found["at_bound"] is False


def test_equally_good_temperatures_give_1():
    found = metrics.fit_temperature(np.array([0, 1]), np.full((2, 2), 0.5))
    assert found == {"temperature": 1.0, "at_bound": False}


def test_a_wrong_probability_of_1_has_a_finite_loss():
    true, probabilities = np.array([0, 1, 1]), np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert math.isfinite(metrics.negative_log_likelihood(true, probabilities))
    assert 1 < metrics.fit_temperature(true, probabilities)["temperature"] <= TEMPERATURES[1]


def test_images_that_determine_no_temperature_raise():
    for true in ([0], [1, 1, 1]):
        with pytest.raises(ValueError, match="two or more classes. Received: .* of only one class"):
            metrics.fit_temperature(np.array(true), np.full((len(true), 2), 0.5))
    for temperature in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite number above 0. Received"):
            metrics.apply_temperature(PROBABILITIES, temperature)
    with pytest.raises(ValueError, match="softmax, sigmoid. Received: 'linear'"):
        metrics.apply_temperature(PROBABILITIES, 2, "linear")
    with pytest.raises(ValueError, match="must be 1 or more. Received: bins=0"):
        metrics.reliability(TRUE, PROBABILITIES, bins=0)
    with pytest.raises(ValueError, match="NaN"):
        metrics.brier_score(TRUE, np.full((4, 2), np.nan))
