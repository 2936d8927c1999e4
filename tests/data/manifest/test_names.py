import re
import warnings

import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.class_labels import possible_classes
from semenet.data.manifest.errors import ManifestError, ManifestWarning
from semenet.data.manifest.splitting import split_patients
from semenet.data.manifest.table import (
    check_patients,
    label_index,
    patients_in_several_splits,
    read_manifest,
)
from semenet.data.sources.source_rows import draw_splits, keep_patients_whole
from semenet.metrics.patient_resamples import PatientBootstrap
from semenet.training.recipe import Recipe

COMPOSED, DECOMPOSED = "Jos\u00e9", "Jose\u0301"


def table(patients, splits, labels=None):
    labels = labels or ["normal"] * len(patients)
    files = [f"{number}.png" for number in range(len(patients))]
    return pd.DataFrame({"file": files, "label": labels, "patient": patients, "split": splits})


def read(tmp_path, *columns, **options):
    table(*columns).to_csv(tmp_path / "manifest.csv", index=False)
    return read_manifest(tmp_path / "manifest.csv", **options)


def test_a_patient_in_two_unicode_forms_is_one_patient(tmp_path):
    manifest = read(tmp_path, [COMPOSED, DECOMPOSED], ["val", "train"])
    with pytest.raises(ManifestError, match=f"1 patients in more than one: {COMPOSED}"):
        check_patients(manifest)


def test_functions_of_rows_compare_patients_in_normal_form():
    rows = table([COMPOSED, DECOMPOSED, "b", "c"], ["val", "train", "train", "val"])
    assert patients_in_several_splits(rows).to_dict() == {COMPOSED: ["train", "val"]}
    assert split_patients(rows, {"train": 0.5, "val": 0.5})[:2].nunique() == 1
    assert draw_splits(rows, {"train": 0.5, "val": 0.5}, seed=0)[:2].nunique() == 1
    with pytest.warns(UserWarning, match="were moved"):
        assert keep_patients_whole(rows)["split"].tolist() == ["val", "val", "train", "val"]


def test_the_bootstrap_draws_a_patient_in_two_unicode_forms_once():
    bootstrap = PatientBootstrap([COMPOSED, DECOMPOSED, "b"], resamples=5)
    assert bootstrap.count == 2
    weights = np.concatenate(list(bootstrap))
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])


def test_labels_and_class_names_are_compared_in_normal_form(tmp_path):
    from semenet.models.layers.heads import check_class_names

    manifest = read(tmp_path, ["a", "b"], ["val", "train"], [COMPOSED, DECOMPOSED])
    assert manifest.rows["label"].unique().tolist() == [COMPOSED]
    assert check_class_names([DECOMPOSED, "b"]) == (COMPOSED, "b")
    recipe = Recipe("resnet50_gap", classes=(DECOMPOSED, "b"))
    assert recipe.classes == (COMPOSED, "b")
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_the_hash_is_that_of_the_cells_as_they_stand(tmp_path):
    composed = read(tmp_path, [COMPOSED, "b"], ["val", "train"]).sha256
    assert read(tmp_path, [DECOMPOSED, "b"], ["val", "train"]).sha256 != composed


@pytest.mark.parametrize(
    "patients",
    [
        ["P1", "p1"],
        ["p 1", "p1"],
        ["Stra\u00dfe", "STRASSE"],
        ["p\u200b1", "p1"],
        ["p\uff11", "p1"],
        ["007", "7"],
        ["7", "7.0"],
    ],
)
def test_patients_whose_names_look_alike_are_named(patients, tmp_path):
    first, second = (re.escape(repr(patient)) for patient in sorted(patients))
    words = rf"1 such groups: {first} \((train|val)\) and {second}"
    with pytest.warns(ManifestWarning, match=words):
        read(tmp_path, patients, ["train", "val"])


def test_other_patients_give_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path, ["p1", "p2", "p1"], ["train", "val", "train"])
        read(tmp_path, ["10", "100", "1", "p01", "p1"], ["train", "val", "train", "val", "test"])


@pytest.mark.parametrize("splits", [["Train", "val"], ["TEST", "train"], ["fold1", "Fold1"]])
def test_splits_that_differ_only_in_case_are_an_error(splits, tmp_path):
    wrong = next(name for name in splits if name != name.lower())
    with pytest.raises(ManifestError, match=rf"'{wrong}' \(1 rows\) for '{wrong.lower()}'"):
        read(tmp_path, ["a", "b"], splits)


def test_an_old_split_column_may_be_replaced(tmp_path):
    assert len(read(tmp_path, ["a", "b"], ["Train", "val"], require_split=False).rows) == 2


@pytest.mark.parametrize("function", [possible_classes, label_index])
def test_a_label_in_another_case_is_answered_with_its_class(function):
    rows = table(["a", "b"], ["train", "train"], ["Normal", "virus"])
    with pytest.raises(ManifestError, match="Write 'normal' for 'Normal'. Remove these rows"):
        function(rows, ("normal", "virus"))
