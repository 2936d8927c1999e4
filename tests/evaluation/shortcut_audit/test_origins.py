"""What features tell of an image's origin: all, nothing, and where it cannot be measured."""

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


def telling(values, seed=0):
    """Features that tell each value by a line of its own."""
    generator = np.random.default_rng(seed)
    codes = pd.factorize(pd.Series(values), sort=True)[0]
    return np.eye(codes.max() + 1)[codes] * 4 + generator.normal(0, 0.1, (len(codes), codes.max() + 1))


def test_features_that_tell_the_source_are_found_by_other_patients():
    values = ["x", "y"] * (COUNT // 2)
    rows = table(source=values)
    for fit_rows, fit_features in ((rows, telling(values, seed=1)), (NOTHING, None)):
        found = origin_probes(rows, telling(values), fit_rows, fit_features)
        assert list(found) == ["source"]
        assert found["source"]["values"] == {"x": 30, "y": 30}
        told = found["source"]["network"]
        assert told["balanced_accuracy"] == told["macro_auroc"] == 1
        assert told["interval"] == [1, 1]
        assert told["chance"] == 1 / 2
    json.dumps(found, allow_nan=False)


def test_features_of_noise_tell_nothing():
    values = np.random.default_rng(3).permutation(["x", "y", "z"] * (COUNT // 3))
    noise = np.random.default_rng(4).normal(size=(COUNT, 6))
    told = origin_probes(table(source=values), noise, NOTHING, None)["source"]["network"]
    assert told["chance"] == pytest.approx(1 / 3)
    assert told["balanced_accuracy"] < 0.6
    assert told["interval"][0] < 0.5


def test_how_well_the_value_tells_the_label():
    """The marker is the label's own; views alternate, and each label has them alike."""
    rows = table(marker=["a", "b", "c"] * (COUNT // 3), view=["AP", "PA"] * (COUNT // 2))
    found = origin_probes(rows, np.random.default_rng(0).normal(size=(COUNT, 3)), NOTHING, None)
    assert found["marker"]["label"]["balanced_accuracy"] == found["marker"]["label"]["excess"] == 1
    assert found["view"]["label"]["balanced_accuracy"] == pytest.approx(1 / 3, abs=0.05)
    assert found["view"]["label"]["excess"] == pytest.approx(0, abs=0.05)


def test_missing_and_rare_values_are_left_out():
    """z has one image too few, and 20 cells are empty: the features are asked for x and y."""
    values = [*["x"] * 20, *["y"] * (20 - MIN_IMAGES + 1), *["z"] * (MIN_IMAGES - 1), *[""] * 20]
    order = np.random.default_rng(0).permutation(COUNT)
    values = np.array(values)[order]
    features = telling(values)
    # What is left out would be taken for x.
    features[(values == "z") | (values == "")] = features[values == "x"][0]
    found = origin_probes(table(source=values), features, NOTHING, None)["source"]
    assert found["values"] == {"x": 20, "y": 16, "z": 4}
    assert found["network"]["chance"] == 1 / 2
    assert found["network"]["balanced_accuracy"] == 1


def test_values_that_the_rows_to_fit_to_lack_are_left_out():
    values = ["x", "y", "z"] * (COUNT // 3)
    rows, features = table(source=values), telling(values)
    known = np.array(values) != "z"
    fit_rows = rows[known].reset_index(drop=True)
    told = origin_probes(rows, features, fit_rows, features[known])["source"]["network"]
    assert told["chance"] == 1 / 2
    assert told["balanced_accuracy"] == 1
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
    assert origin_probes(rows, telling(values), NOTHING, None)["source"]["network"] is None


def test_one_label_alone_tells_nothing_of_the_label():
    values = ["x", "y"] * (COUNT // 2)
    found = origin_probes(table(source=values).assign(label="a"), telling(values), NOTHING, None)["source"]
    assert set(found["label"].values()) == {None}
    assert found["network"]["balanced_accuracy"] == 1


def test_a_manifest_without_such_columns_has_none():
    assert origin_probes(table(), np.zeros((COUNT, 2)), NOTHING, None) == {}
