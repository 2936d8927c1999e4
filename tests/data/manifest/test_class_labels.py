import numpy as np
import pandas as pd
import pytest

from semenet.data.checks.copies import find_copies_in_rows
from semenet.data.checks.duplicates import DEFAULT_SIMILARITY
from semenet.data.checks.file_survey import survey_files
from semenet.data.checks.shortcuts import origin_table
from semenet.data.manifest.class_labels import (
    complete_labels,
    has_partial_label,
    labels_contradict,
    possible_classes,
)
from semenet.data.manifest.table import ManifestError, label_index, read_manifest

CLASSES = ("normal", "bacteria", "virus")


def rows(*labels):
    return pd.DataFrame({"file": [f"{i}.png" for i in range(len(labels))], "label": list(labels)})


def test_each_possible_class_has_a_one():
    possible = possible_classes(rows("virus", "bacteria|virus", "virus|bacteria", "normal"), CLASSES)
    assert possible.tolist() == [[0, 0, 1], [0, 1, 1], [0, 1, 1], [1, 0, 0]]
    assert possible.dtype == np.float32
    assert complete_labels(possible).tolist() == [True, False, False, True]


def test_complete_labels_are_the_one_hot_rows_of_label_index():
    table = rows("virus", "normal", "bacteria", "virus")
    expected = np.eye(3, dtype=np.float32)[label_index(table, CLASSES)]
    assert possible_classes(table, CLASSES).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("bacteria|fungus", r"'bacteria\|fungus' for 1.png \(all unknown classes: 'fungus'\)"),
        ("bacteria|", "unknown classes: ''"),
        ("bacteria | virus", "unknown classes: ' virus', 'bacteria '"),
        ("virus|virus", "each class once"),
        ("normal|bacteria|virus", "says nothing"),
    ],
)
def test_wrong_partial_labels(label, words):
    with pytest.raises(ManifestError, match=words):
        possible_classes(rows("normal", label), CLASSES)


def test_the_index_of_a_partial_label_is_refused():
    with pytest.raises(ManifestError, match=r"'bacteria\|virus' for 0.png"):
        label_index(rows("bacteria|virus"), CLASSES)


def test_partial_labels_are_found_without_classes():
    assert has_partial_label(rows("a", "a|b")["label"]).tolist() == [False, True]


def test_copies_disagree_only_where_no_class_is_possible_for_both(phantoms):
    assert not labels_contradict(["bacteria|virus", "virus"])
    assert labels_contradict(["bacteria|virus", "normal"])
    row = read_manifest(phantoms).rows.iloc[[0]]
    for label, expected in (("virus", 0), ("normal", 1)):
        pair = pd.concat([row.assign(label="bacteria|virus"), row.assign(label=label)], ignore_index=True)
        copies = find_copies_in_rows(pair, survey_files(pair), DEFAULT_SIMILARITY, None)
        assert len(copies) == expected


def test_a_partial_label_counts_in_equal_parts_for_the_origin():
    origins = pd.Series(["A"] * 4 + ["B"] * 4)
    patients = pd.Series(list("abcdefgh"))
    labels = pd.Series(["normal"] * 2 + ["bacteria|virus"] * 2 + ["bacteria"] * 2 + ["virus"] * 2)
    table = origin_table("source", origins, labels, patients)
    # In A: all 2 of normal, 1 of 3 of bacteria and of virus; in B: 2 of 3 of each.
    assert table["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 3)
    assert table["counts"]["A"]["bacteria|virus"] == 2
