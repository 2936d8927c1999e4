"""Pooled metrics and comparisons of labels, against values worked out by hand."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from semenet.evaluation.cross_validation.fold_training import FoldResult
from semenet.evaluation.cross_validation.folds import Fold
from semenet.evaluation.cross_validation.pooled_metrics import average_over_folds, measure_fold, pool
from semenet.evaluation.cross_validation.source_contrasts import INNER, OTHERS, WITHIN, source_contrasts
from semenet.evaluation.measure.saved_predictions import SavedPredictions

CLASSES = ("normal", "virus")


def predictions(images, prefix, classes=CLASSES):
    """Saved predictions of (label, *probabilities) for each image; each image is of its own patient."""
    rows = [
        (f"{prefix}{number}.png", f"{prefix}{number}", label, classes[int(np.argmax(values))], *values)
        for number, (label, *values) in enumerate(images)
    ]
    frame = pd.DataFrame(rows, columns=["file", "patient", "label", "predicted", *classes])
    return SavedPredictions(frame.astype(dict.fromkeys(classes, np.float32)), classes)


def result(name, held_out, inner=()):
    own = held_out.rows.assign(split="test")
    splits = pd.concat([own, own.assign(split="train"), own.assign(split="val")])
    metrics = {"model_sha256": "", "manifest_sha256": "", "skipped": [], "calibration": {"temperature": 1.5}}
    chosen = predictions(inner, f"{name}-inner", held_out.class_names)
    return FoldResult(Fold(name, splits), pathlib.Path(), held_out, chosen, metrics, 2)


FIRST = [("normal", 0.9, 0.1), ("normal", 0.4, 0.6), ("virus", 0.3, 0.7), ("virus", 0.2, 0.8)]
SECOND = [("normal", 0.2, 0.8), ("normal", 0.6, 0.4), ("virus", 0.7, 0.3), ("virus", 0.1, 0.9)]


def test_pooled_and_mean_metrics_are_those_worked_out_by_hand():
    results = [result("1", predictions(FIRST, "a")), result("2", predictions(SECOND, "b"))]
    pooled = pool(results)
    assert pooled.rows.columns[0] == "fold"
    assert pooled.rows["fold"].tolist() == ["1"] * 4 + ["2"] * 4
    found = pooled.measure(200)
    # Right: a0, a2, a3, b1, b3.
    assert found["figures"]["accuracy"] == 5 / 8
    # Of the 16 pairs of a virus and a normal image, by the probability of virus: 0.7 is above 0.1, 0.6 and
    # 0.4; 0.8 is above the same and equal to 0.8; 0.3 is above 0.1; 0.9 is above all four.
    assert found["figures"]["per_class.virus.auroc"] == pytest.approx((3 + 3.5 + 1 + 4) / 16)
    assert found["classes"] == {"normal": 4, "virus": 4}
    assert (found["count"], found["patients"]) == (8, 8)
    low, high = found["intervals"]["accuracy"]
    assert low < 5 / 8 < high
    measured = [measure_fold(one, 200) for one in results]
    assert [fold["figures"]["accuracy"] for fold in measured] == [0.75, 0.5]
    assert [fold["temperature"] for fold in measured] == [1.5, 1.5]
    mean = average_over_folds(results, measured, 200)
    assert mean["accuracy"]["mean"] == 0.625
    assert mean["accuracy"]["sd"] == pytest.approx(0.25 / np.sqrt(2))
    # AUROCs of the folds: 4/4; 0.3 above none and 0.9 above both of 0.8 and 0.4.
    assert mean["macro_auroc"]["mean"] == pytest.approx((1 + 0.5) / 2)
    assert mean["accuracy"]["interval"][0] < 0.625 < mean["accuracy"]["interval"][1]


def test_a_fold_of_one_class_is_left_out_of_the_mean_that_it_does_not_define():
    results = [result("1", predictions(FIRST, "a")), result("2", predictions(SECOND[:2], "b"))]
    measured = [measure_fold(one, 200) for one in results]
    assert measured[1]["figures"]["macro_auroc"] is None
    mean = average_over_folds(results, measured, 200)
    assert (mean["macro_auroc"]["mean"], mean["macro_auroc"]["folds"]) == (1, 1)
    assert mean["macro_auroc"]["sd"] is None
    assert mean["accuracy"]["folds"] == 2


def test_a_source_with_both_labels_is_compared_within_itself():
    results = [result("north", predictions(FIRST, "a")), result("south", predictions(SECOND, "b"))]
    found = source_contrasts(results, 200)
    assert [(one["left_out"], one["against_from"]) for one in found] == [("north", WITHIN), ("south", WITHIN)]
    assert [one["auroc"] for one in found] == [1.0, 0.5]
    assert found[0]["images"] == [2, 2]
    assert found[0]["patients"] == [2, 2]


def test_a_source_of_one_label_is_compared_with_others_and_with_the_inner_split():
    virus_only = predictions([("virus", 0.5, 0.5), ("virus", 0.1, 0.9)], "b")
    inner = [("normal", 0.6, 0.4), ("normal", 0.05, 0.95), ("virus", 0.2, 0.8)]
    results = [result("north", predictions(FIRST, "a")), result("south", virus_only, inner)]
    found = [one for one in source_contrasts(results, 200) if one["left_out"] == "south"]
    assert [(one["label"], one["against"], one["against_from"]) for one in found] == [
        ("virus", "normal", OTHERS),
        ("virus", "normal", INNER),
    ]
    # Virus at 0.5 and 0.9 against north's normal at 0.1 and 0.6: 3 of 4 pairs; against inner normal at 0.4
    # and 0.95: 2 of 4.
    assert [one["auroc"] for one in found] == [0.75, 0.5]
    assert found[0]["against_sources"] == ["north"]
    assert found[1]["against_sources"] == []


def test_a_partial_label_has_the_probability_of_its_classes():
    classes = ("normal", "bacteria", "virus")
    images = [
        ("normal", 0.6, 0.3, 0.1),
        ("normal", 0.3, 0.4, 0.3),
        ("bacteria|virus", 0.5, 0.25, 0.25),
        ("bacteria|virus", 0.1, 0.2, 0.7),
    ]
    held_out = predictions(images, "a", classes)
    (found,) = source_contrasts([result("north", held_out)], 200)
    assert (found["label"], found["against"]) == ("normal", "bacteria|virus")
    # By the share of normal: 0.6 is above both of 0.5 and 0.1; 0.3 is above 0.1 alone.
    assert found["auroc"] == 0.75


def test_partial_labels_count_where_they_can():
    """A partial label says that the image is not normal, and leaves open whether it is bacteria or virus."""
    classes = ("normal", "bacteria", "virus")
    images = [
        ("normal", 0.6, 0.3, 0.1),
        ("virus", 0.2, 0.2, 0.6),
        ("bacteria|virus", 0.5, 0.25, 0.25),
        ("bacteria|virus", 0.1, 0.2, 0.7),
    ]
    found = predictions(images, "a", classes).measure(200)
    assert found["count"] == 4
    assert found["classes"] == {"bacteria|virus": 2, "normal": 1, "virus": 1}
    # Accuracy is of the two complete labels, both right; normal's AUROC is of all four images.
    assert found["figures"]["accuracy"] == 1
    assert found["figures"]["per_class.normal.auroc"] == 1
    only_partial = predictions(images[2:], "a", classes).measure(200)["figures"]
    assert only_partial["brier"] is None


def test_a_pair_does_not_depend_on_a_third_class():
    classes = ("normal", "bacteria", "virus")
    images = [("bacteria", 0.89, 0.1, 0.01), ("virus", 0.1, 0.4, 0.5)]
    (found,) = source_contrasts([result("north", predictions(images, "a", classes))], 200)
    # Bacteria has 10/11 of the pair's probability in the first image and 4/9 in the second.
    assert found["auroc"] == 1.0


def test_saved_probabilities_are_read_back_to_the_bit(tmp_path):
    written = predictions(FIRST, "a").rows
    written["normal"] = np.float32([0.1, 1 / 3, 1e-9, 0.7])
    written["patient"] = ["007", "NA", "1", "1"]
    written.to_csv(tmp_path / "predictions.csv", index=False)
    read = SavedPredictions.read(tmp_path, CLASSES)
    np.testing.assert_array_equal(read.probabilities[:, 0], written["normal"].to_numpy())
    assert read.patients.tolist() == ["007", "NA", "1", "1"]
