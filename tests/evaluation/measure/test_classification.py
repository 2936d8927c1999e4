"""Metrics of a classifier's probabilities, worked out by hand."""

import json
import types
import warnings

import numpy as np
import pandas as pd
import pytest

from semenet import metrics
from semenet.errors import SemenetError
from semenet.evaluation.measure.classification import RATES, default_subgroups, measure_classification

CLASSES = ("a", "b")
# The evaluated split: the true class and the probability of "b", one image per patient.
TRUE = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORE = np.array([0.1, 0.2, 0.3, 0.8, 0.25, 0.7, 0.85, 0.95])


def calibration(temperature=1.0):
    """Returns a calibration chosen on another split, whose rates do not hold on this one."""
    point = {"target": 0.9, "threshold": 0.75, "sensitivity": 1.0, "specificity": 1.0}
    low = {"target": 0.9, "threshold": 0.25, "sensitivity": 1.0, "specificity": 1.0}
    return {
        "temperature": temperature,
        "split": "tune",
        "count": 77,
        "manifest_sha256": "abc",
        "operating_points": {
            "a": {"sensitivity": None, "specificity": None},
            "b": {"sensitivity": low, "specificity": point},
        },
        "abstain": {"target_accuracy": 0.95, "confidence": 0.8, "coverage": 1.0, "accuracy": 1.0},
    }


def a_run(calibrated=None, activation="softmax"):
    return types.SimpleNamespace(
        class_names=CLASSES,
        calibration=calibrated,
        temperature=1.0 if calibrated is None else calibrated["temperature"],
        activation=activation,
    )


def rows(**columns):
    return pd.DataFrame({"patient": [f"p{number}" for number in range(8)]} | columns)


def both(score):
    return np.stack([1 - score, score], axis=1)


def measured(run, probabilities=None, table=None, **arguments):
    probabilities = both(SCORE) if probabilities is None else probabilities
    arguments = {"resamples": 200} | arguments
    return measure_classification(run, rows() if table is None else table, TRUE, probabilities, **arguments)


def test_thresholds_chosen_on_another_split_are_evaluated():
    """At 0.75 three are positive, one of them falsely (0.8, 0.85, 0.95); at 0.25 six, two falsely."""
    _, details = measured(a_run(calibration()))
    points = details["operating_points"]
    assert points["a"] == {"sensitivity": None, "specificity": None}
    high = points["b"]["specificity"]
    assert (high["target"], high["threshold"]) == (0.9, 0.75)
    assert [high[rate] for rate in RATES] == pytest.approx([2 / 4, 3 / 4, 2 / 3, 3 / 5])
    assert (high["true_positives"], high["false_positives"]) == (2, 1)
    low = points["b"]["sensitivity"]
    assert [low[rate] for rate in RATES] == pytest.approx([4 / 4, 2 / 4, 4 / 6, 2 / 2])
    assert set(high["intervals"]) == set(RATES)
    for rate in RATES:
        assert high["intervals"][rate][0] < high[rate] < high["intervals"][rate][1]
    # A share that is 1 in every resample.
    assert low["intervals"]["sensitivity"] == low["intervals"]["npv"] == [1, 1]


def test_abstention_chosen_on_another_split_is_evaluated():
    """At a confidence of 0.8, 0.1, 0.2, 0.8, 0.85 and 0.95 are answered, 0.8 wrongly."""
    _, details = measured(a_run(calibration()))
    found = details["abstain"]
    assert (found["target_accuracy"], found["confidence"]) == (0.95, 0.8)
    assert found["coverage"] == pytest.approx(5 / 8)
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["intervals"]["coverage"][0] < 5 / 8 < found["intervals"]["coverage"][1]
    assert found["intervals"]["accuracy"][1] == 1


def test_accuracy_is_undefined_if_nothing_is_answered():
    unsure = calibration()
    unsure["abstain"]["confidence"] = 0.99
    _, details = measured(a_run(unsure))
    assert details["abstain"]["coverage"] == 0
    assert details["abstain"]["accuracy"] is details["abstain"]["intervals"]["accuracy"] is None
    assert details["abstain"]["intervals"]["coverage"] == [0, 0]
    assert measured(a_run(calibration() | {"abstain": None}))[1]["abstain"] is None


def test_without_calibration_nothing_is_chosen():
    values, details = measured(a_run())
    assert details["operating_points"] is details["abstain"] is None
    found = details["calibration"]
    assert found["temperature"] == 1
    assert found["chosen_on"] is found["uncalibrated"] is None
    # Twice the squared distance of one column.
    assert values["brier"] == pytest.approx(2 * np.mean((SCORE - TRUE) ** 2))
    assert sum(found["reliability"]["count"]) == 8
    # With two classes the highest probability is a half or more, so the first bin is empty.
    assert found["reliability"]["accuracy"][0] is None
    json.dumps(details, allow_nan=False)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_uncalibrated_metrics_are_those_of_the_network_outputs(temperature, activation):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (8, 2)) + 2 * np.eye(2)[TRUE]
    powers = np.exp(logits)
    own = powers / (1 + powers) if activation == "sigmoid" else powers / powers.sum(axis=1, keepdims=True)
    powers = np.exp(logits / temperature)
    tempered = (
        powers / (1 + powers) if activation == "sigmoid" else powers / powers.sum(axis=1, keepdims=True)
    )
    values, details = measured(a_run(calibration(temperature), activation), tempered.astype(np.float32))
    found = details["calibration"]
    assert found["temperature"] == temperature
    assert found["chosen_on"] == {"split": "tune", "count": 77, "manifest_sha256": "abc"}
    assert found["uncalibrated"]["brier"] == pytest.approx(metrics.brier_score(TRUE, own), abs=1e-5)
    assert found["uncalibrated"]["ece"] == pytest.approx(
        metrics.expected_calibration_error(TRUE, own), abs=1e-5
    )
    assert found["uncalibrated"]["reliability"]["count"] == metrics.reliability(TRUE, own)["count"].tolist()
    assert values["brier"] == pytest.approx(metrics.brier_score(TRUE, tempered), abs=1e-5)
    assert abs(values["brier"] - found["uncalibrated"]["brier"]) > 0.005


def test_every_metric_has_an_interval():
    values, details = measured(a_run())
    flat = metrics.add_dotted_keys(values)
    numbers = {name for name, value in flat.items() if isinstance(value, float)}
    assert {"accuracy", "brier", "ece", "macro_auroc", "per_class.a.sensitivity"} <= numbers
    assert numbers <= set(details["intervals"])
    low, high = details["intervals"]["accuracy"]
    # Six of eight are right.
    assert low < values["accuracy"] == 6 / 8 < high


def test_an_interval_is_over_patients():
    """With a single patient there is nothing to resample."""
    _, details = measured(a_run(), table=rows(patient=["one"] * 8))
    assert set(details["intervals"].values()) == {None}


def test_default_subgroups_have_several_values():
    table = rows(source=["x", "y"] * 4, sex="F", age=["", *"1234567"], room=list("abcdefgh"))
    assert default_subgroups(table) == ["source", "age"]
    _, details = measured(a_run(), table=table)
    assert list(details["subgroups"]) == ["source", "age"]
    # Even positions are x: 0.1, 0.3, 0.25, 0.85, of which 0.25 is wrong.
    assert details["subgroups"]["source"]["x"]["figures"]["accuracy"] == pytest.approx(3 / 4)
    assert details["subgroups"]["source"]["x"]["count"] == 4
    assert details["subgroups"]["age"]["not stated"]["count"] == 1
    _, details = measured(a_run(), table=table, by=("room",))
    assert list(details["subgroups"]) == ["room"]
    assert measured(a_run(), table=table, by=())[1]["subgroups"] == {}


def test_a_default_column_without_subgroups_is_left_out_with_a_warning():
    """By default there is a warning; if the column is requested, there is an error."""
    table = pd.DataFrame({"source": [f"clinic {number}" for number in range(21)], "sex": ["F", "M", "F"] * 7})
    with pytest.warns(UserWarning, match=r"No subgroups by source.*at most 20 diff.*21 values in 'source'"):
        assert default_subgroups(table) == ["sex"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_subgroups(table[:20]) == ["source", "sex"]
    wide = pd.concat([rows()] * 3, ignore_index=True)[:21].assign(source=table["source"])
    with pytest.raises(SemenetError, match="21 values in 'source'"):
        measure_classification(a_run(), wide, np.zeros(21, int), np.full((21, 2), 0.5), by=("source",))


def test_one_class_alone_has_the_defined_metrics():
    values, details = measure_classification(
        a_run(calibration()), rows(), np.zeros(8, int), both(SCORE), resamples=50
    )
    assert values["macro_auroc"] is details["intervals"]["macro_auroc"] is None
    assert values["accuracy"] == pytest.approx(4 / 8)
    point = details["operating_points"]["b"]["specificity"]
    assert point["sensitivity"] is point["intervals"]["sensitivity"] is None
    assert point["specificity"] == pytest.approx(5 / 8)
    json.dumps([values, details], allow_nan=False)
