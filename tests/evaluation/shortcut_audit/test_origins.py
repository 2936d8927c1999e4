"""Probes of the origin: predictive features, random features, and undefined cases."""

import json

import numpy as np
import pandas as pd
import pytest

from semenet.evaluation.shortcut_audit.origins import MIN_IMAGES, origin_probes

COUNT = 60
NOTHING = pd.DataFrame(columns=["source", "view", "marker"])


def table(**columns):
    frame = pd.DataFrame({"patient": [f"p{number // 2}" for number in range(COUNT)]})
    return frame.assign(label=["a", "b", "c"] * (COUNT // 3), **columns)


def predictive_features(values, seed=0):
    """Returns features with one dimension for each value."""
    generator = np.random.default_rng(seed)
    codes = pd.factorize(pd.Series(values), sort=True)[0]
    return np.eye(codes.max() + 1)[codes] * 4 + generator.normal(0, 0.1, (len(codes), codes.max() + 1))


def test_features_that_predict_the_source_are_detected():
    values = ["x", "y"] * (COUNT // 2)
    rows = table(source=values)
    for fit_rows, fit_features in ((rows, predictive_features(values, seed=1)), (NOTHING, None)):
        found = origin_probes(rows, predictive_features(values), fit_rows, fit_features)
        assert list(found) == ["source"]
        assert found["source"]["values"] == {"x": 30, "y": 30}
        probe = found["source"]["network"]
        assert probe["balanced_accuracy"] == probe["macro_auroc"] == 1
        assert probe["interval"] == [1, 1]
        assert probe["chance"] == 1 / 2
    json.dumps(found, allow_nan=False)


def test_random_features_predict_nothing():
    values = np.random.default_rng(3).permutation(["x", "y", "z"] * (COUNT // 3))
    noise = np.random.default_rng(4).normal(size=(COUNT, 6))
    probe = origin_probes(table(source=values), noise, NOTHING, None)["source"]["network"]
    assert probe["chance"] == pytest.approx(1 / 3)
    assert probe["balanced_accuracy"] < 0.6
    assert probe["interval"][0] < 0.5


def test_how_well_the_value_predicts_the_label():
    """The marker is the label itself; views alternate and are independent of the label."""
    rows = table(marker=["a", "b", "c"] * (COUNT // 3), view=["AP", "PA"] * (COUNT // 2))
    found = origin_probes(rows, np.random.default_rng(0).normal(size=(COUNT, 3)), NOTHING, None)
    assert found["marker"]["label"]["balanced_accuracy"] == found["marker"]["label"]["excess"] == 1
    assert found["view"]["label"]["balanced_accuracy"] == pytest.approx(1 / 3, abs=0.05)
    assert found["view"]["label"]["excess"] == pytest.approx(0, abs=0.05)


def test_missing_and_rare_values_are_left_out():
    """z has one image too few and 20 cells are empty: only x and y are probed."""
    values = [*["x"] * 20, *["y"] * (20 - MIN_IMAGES + 1), *["z"] * (MIN_IMAGES - 1), *[""] * 20]
    order = np.random.default_rng(0).permutation(COUNT)
    values = np.array(values)[order]
    features = predictive_features(values)
    # Left-out images would be predicted as x.
    features[(values == "z") | (values == "")] = features[values == "x"][0]
    found = origin_probes(table(source=values), features, NOTHING, None)["source"]
    assert found["values"] == {"x": 20, "y": 16, "z": 4}
    assert found["network"]["chance"] == 1 / 2
    assert found["network"]["balanced_accuracy"] == 1


def test_values_missing_from_the_rows_to_fit_to_are_left_out():
    values = ["x", "y", "z"] * (COUNT // 3)
    rows, features = table(source=values), predictive_features(values)
    known = np.array(values) != "z"
    fit_rows = rows[known].reset_index(drop=True)
    probe = origin_probes(rows, features, fit_rows, features[known])["source"]["network"]
    assert probe["chance"] == 1 / 2
    assert probe["balanced_accuracy"] == 1
    only = rows[rows["source"] == "x"].reset_index(drop=True)
    assert origin_probes(rows, features, only, features[::3])["source"]["network"] is None


@pytest.mark.parametrize(
    "values", [["x"] * COUNT, [""] * COUNT, ["x"] * (COUNT - MIN_IMAGES + 1) + ["y"] * (MIN_IMAGES - 1)]
)
def test_a_column_with_one_value_left_is_not_probed(values):
    found = origin_probes(table(view=values), np.zeros((COUNT, 2)), NOTHING, None)
    assert found["view"]["network"] is None
    json.dumps(found, allow_nan=False)


def test_too_few_patients_are_not_probed():
    values = ["x", "y"] * (COUNT // 2)
    rows = table(source=values).assign(patient=["p", "q", "r", "s"] * (COUNT // 4))
    assert origin_probes(rows, predictive_features(values), NOTHING, None)["source"]["network"] is None


def test_label_metrics_are_undefined_with_one_label():
    values = ["x", "y"] * (COUNT // 2)
    found = origin_probes(table(source=values).assign(label="a"), predictive_features(values), NOTHING, None)[
        "source"
    ]
    assert set(found["label"].values()) == {None}
    assert found["network"]["balanced_accuracy"] == 1


def test_a_manifest_without_origin_columns_has_no_probes():
    assert origin_probes(table(), np.zeros((COUNT, 2)), NOTHING, None) == {}
