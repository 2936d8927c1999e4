import json

import numpy as np
import pandas as pd
import pytest

from semenet import metrics
from semenet.data.manifest.table import read_manifest
from semenet.evaluation.measure.subgroups import subgroup_means, subgroup_metrics, subgroups
from semenet.metrics.patient_bootstrap import classification_intervals, mean_intervals

CLASSES = ("normal", "bacteria", "virus")


def table(**columns):
    count = len(next(iter(columns.values())))
    fixed = {"file": [f"{i}.png" for i in range(count)], "patient": [f"p{i // 2}" for i in range(count)]}
    return pd.DataFrame(fixed | columns)


def members(rows, column):
    """Returns the row numbers of each value of one column."""
    return {value: np.flatnonzero(mask).tolist() for value, mask in subgroups(rows, [column])[column]}


def test_values_in_order_and_empty_cells_last():
    rows = table(sex=["M", "", "F", " ", "M", None])
    assert members(rows, "sex") == {"F": [2], "M": [0, 4], "not stated": [1, 3, 5]}
    assert list(members(rows, "sex")) == ["F", "M", "not stated"]


def test_columns_keep_the_requested_order():
    rows = table(sex=["M", "F"], site=["x", "y"])
    assert list(subgroups(rows, ["site", "sex"])) == ["site", "sex"]
    assert subgroups(rows, []) == {}


def test_ages_fall_into_bands_at_their_limits():
    ages = ["0", "17", "17.9", "18", "39", "40", "59", "60", "79", "80", "101", ""]
    assert members(table(age=ages), "age") == {
        "0-17": [0, 1, 2],
        "18-39": [3, 4],
        "40-59": [5, 6],
        "60-79": [7, 8],
        "80+": [9, 10],
        "not stated": [11],
    }
    children = [str(age) for age in range(9)]
    assert list(members(table(Age=children), "Age")) == ["0-17"]


def test_few_numbers_are_values_in_numerical_order():
    rows = table(stage=["10", "9", "100", "9", "1", "2", "3", "4", "5"])
    assert list(members(rows, "stage")) == ["1", "2", "3", "4", "5", "9", "10", "100"]


def test_other_numbers_fall_into_quartiles():
    # The quartiles of 1 to 12 are 3, 6 and 9.
    numbers = [str(number) for number in range(12, 0, -1)]
    found = members(table(dose=[*numbers, ""]), "dose")
    assert {name: [12 - row for row in rows] for name, rows in found.items()} == {
        "1 to below 3": [2, 1],
        "3 to below 6": [5, 4, 3],
        "6 to below 9": [8, 7, 6],
        "9 to 12": [12, 11, 10, 9],
        "not stated": [0],
    }


def test_quartiles_that_coincide_are_one_band():
    found = members(table(dose=["0"] * 30 + [str(n / 10) for n in range(1, 11)]), "dose")
    assert {name: len(rows) for name, rows in found.items()} == {"0 to 1": 40}


def test_every_row_is_in_one_subgroup():
    generator = np.random.default_rng(0)
    rows = table(
        age=[str(age) if age else "" for age in generator.integers(0, 100, 200)],
        dose=generator.random(200).astype(str),
        site=generator.choice(["a", "b", ""], 200),
    )
    for column, values in subgroups(rows, ["age", "dose", "site"]).items():
        masks = np.array([mask for _, mask in values])
        assert masks.dtype == bool
        assert (masks.sum(axis=0) == 1).all(), column
        assert masks.any(axis=1).all()


def test_nothing_stated():
    assert members(table(sex=["", ""]), "sex") == {"not stated": [0, 1]}


def test_a_missing_column_is_refused():
    rows = table(sex=["M", "F"]).assign(path="x", mask_path="y")
    with pytest.raises(ValueError, match="Received: 'age', 'path'. Available: file, patient, sex.$"):
        subgroups(rows, ["sex", "age", "path"])


def test_too_many_values_are_refused():
    names = [f"name {index}" for index in range(21)]
    with pytest.raises(ValueError, match="Received: 21 values in 'who', including 'name 0'.*Group them"):
        subgroups(table(who=names), ["who"])
    assert len(members(table(who=names[:20]), "who")) == 20
    ages = [*map(str, range(30)), "unknown"]
    with pytest.raises(ValueError, match="including 'unknown'.*leave unknown cells empty"):
        subgroups(table(age=ages), ["age"])
    with pytest.raises(ValueError, match="including"):
        subgroups(table(code=["0" * index + "1" for index in range(21)]), ["code"])


def test_an_age_below_zero_is_refused():
    with pytest.raises(ValueError, match="0 years or more. Received: -1"):
        subgroups(table(age=[str(age) for age in range(-1, 12)]), ["age"])


def test_columns_of_a_manifest(phantoms):
    rows = read_manifest(phantoms).split("test")
    found = subgroups(rows, ["label", "marker"])
    assert [value for value, _ in found["label"]] == sorted(CLASSES)
    assert sum(mask.sum() for _, mask in found["marker"]) == len(rows)


def test_metrics_are_those_of_the_subgroup_rows():
    generator = np.random.default_rng(1)
    true = generator.integers(3, size=40)
    probabilities = generator.dirichlet([1, 1, 1], size=40)
    rows = table(sex=generator.choice(["M", "F"], 40), site=["x"] * 40)
    found = subgroup_metrics(true, probabilities, CLASSES, rows, ["sex", "site"], resamples=50)
    assert list(found) == ["sex", "site"]
    assert list(found["site"]) == ["x"]
    women = (rows["sex"] == "F").to_numpy()
    expected = found["sex"]["F"]
    assert expected["count"] == women.sum()
    assert expected["patients"] == rows["patient"][women].nunique()
    assert expected["classes"] == {name: int((true[women] == k).sum()) for k, name in enumerate(CLASSES)}
    arrays = true[women], probabilities[women], CLASSES
    assert expected["figures"] == metrics.classification(*arrays)
    assert expected["intervals"] == classification_intervals(*arrays, rows["patient"][women], 50)
    json.dumps(found, allow_nan=False)


def test_a_subgroup_without_a_class():
    true = np.array([0, 0, 1, 2])
    rows = table(sex=["M", "M", "F", "F"])
    found = subgroup_metrics(true, np.eye(3)[true], CLASSES, rows, ["sex"], resamples=20)["sex"]
    assert found["M"]["classes"] == {"normal": 2, "bacteria": 0, "virus": 0}
    assert found["M"]["figures"]["macro_auroc"] is None
    assert found["M"]["figures"]["accuracy"] == 1
    # There is only one patient.
    assert set(found["M"]["intervals"].values()) == {None}
    assert found["F"]["figures"]["per_class"]["virus"]["auroc"] == 1
    json.dumps(found, allow_nan=False)


def test_means_of_scores():
    scores = {"dice": np.array([0.5, 0.7, 0.9, np.nan]), "distance": np.array([1, 2, np.nan, np.nan])}
    rows = table(sex=["M", "M", "F", "F"]).assign(patient=list("abcd"))
    found = subgroup_means(scores, rows, ["sex"], resamples=30)["sex"]
    assert found["M"] == {
        "count": 2,
        "patients": 2,
        "figures": {"dice": pytest.approx(0.6), "distance": 1.5},
        "intervals": mean_intervals({name: values[:2] for name, values in scores.items()}, list("ab"), 30),
    }
    assert found["F"]["figures"] == {"dice": 0.9, "distance": None}
    assert found["F"]["intervals"]["distance"] is None
    json.dumps(found, allow_nan=False)


def test_a_different_number_of_rows_is_refused():
    rows = table(sex=["M", "F"])
    with pytest.raises(ValueError, match="2 rows for 3 images"):
        subgroup_metrics(np.zeros(3, int), np.full((3, 2), 0.5), "ab", rows, ["sex"])
    with pytest.raises(ValueError, match="2 rows for 1 images"):
        subgroup_means({"dice": [0.5]}, rows, ["sex"])
