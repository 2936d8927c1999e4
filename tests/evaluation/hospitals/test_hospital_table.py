"""Metrics by hospital and their differences, against values worked out by hand."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.table import Manifest
from semenet.evaluation.hospitals.hospital_table import Hospital, hospital_rows
from semenet.evaluation.measure.saved_predictions import SavedPredictions

CLASSES = ("normal", "virus")


def hospital(name, labels, virus, internal=False, sources=None):
    rows = pd.DataFrame({"file": [f"{name}{n}.png" for n in range(len(labels))], "label": labels})
    rows["patient"] = [f"{name}{n}" for n in range(len(labels))]
    rows["predicted"] = np.where(np.array(virus) > 0.5, "virus", "normal")
    rows["virus"] = np.float32(virus)
    rows["normal"] = np.float32(1) - rows["virus"]
    if sources is not None:
        rows["source"] = sources
    evidence = "validation" if internal else "other manifest"
    manifest = Manifest(pathlib.Path(name), rows, name)
    return Hospital(
        name, pathlib.Path(name), manifest, {"evidence": evidence}, SavedPredictions(rows, CLASSES), internal
    )


LABELS = ["normal", "normal", "virus", "virus"] * 10


def test_the_difference_is_external_minus_internal():
    """Three quarters of the internal images are right and half of the external ones."""
    home = hospital("home", LABELS, [0.1, 0.6, 0.7, 0.9] * 10, internal=True)
    away = hospital("away", LABELS, [0.1, 0.6, 0.4, 0.9] * 10)
    first, second = hospital_rows([home, away], None, 1000)
    assert (first["hospital"], first["internal"], first["difference"]) == ("home", True, None)
    assert first["figures"]["accuracy"] == 0.75
    assert second["figures"]["accuracy"] == 0.5
    found = second["difference"]["accuracy"]
    assert found["value"] == -0.25
    # The standard error of the difference is sqrt(0.75 * 0.25 / 40 + 0.5 * 0.5 / 40) = 0.1046.
    low, high = found["interval"]
    assert low == pytest.approx(-0.25 - 1.96 * 0.1046, abs=0.04)
    assert high == pytest.approx(-0.25 + 1.96 * 0.1046, abs=0.04)
    # AUROC: 1 - 0 of 4 pairs at home; away 0.4 is below 0.6 in one of four.
    assert second["difference"]["macro_auroc"]["value"] == pytest.approx(-0.25)


def test_equal_images_of_other_patients_do_not_cancel_their_variation():
    """The two sides are drawn independently: the interval of no difference has a width."""
    scores = [0.1, 0.6, 0.7, 0.9] * 10
    home, away = hospital("home", LABELS, scores, internal=True), hospital("away", LABELS, scores)
    found = hospital_rows([home, away], None, 1000)[1]["difference"]["accuracy"]
    assert found["value"] == 0
    low, high = found["interval"]
    assert low < -0.1
    assert high > 0.1


def test_means_over_classes_are_not_compared_where_the_classes_differ():
    home = hospital("home", LABELS, [0.1, 0.6, 0.7, 0.9] * 10, internal=True)
    away = hospital("away", ["virus"] * 40, [0.4, 0.9] * 20)
    found = hospital_rows([home, away], None, 200)[1]["difference"]
    assert found["balanced_accuracy"] == {"value": None, "interval": None}
    assert found["macro_f1"]["value"] is None
    assert found["per_class.virus.sensitivity"]["value"] == -0.5
    assert found["per_class.virus.auroc"]["value"] is None


def test_the_values_of_a_column_are_listed_below_their_hospital():
    sources = ["east", "west"] * 20
    home = hospital("home", LABELS, [0.1, 0.6, 0.7, 0.9] * 10, internal=True)
    away = hospital("away", LABELS, [0.1, 0.6, 0.4, 0.9] * 10, sources=sources)
    rows = hospital_rows([home, away], None, 200)
    assert [(row["hospital"], row["value"]) for row in rows] == [
        ("home", None),
        ("away", None),
        ("away", "east"),
        ("away", "west"),
    ]
    # East has the first and third of each four images: one normal right, one virus wrong.
    assert rows[2]["figures"]["accuracy"] == 0.5
    assert rows[2]["count"] == 20
    assert rows[2]["difference"]["accuracy"]["value"] == -0.25


def test_without_an_internal_manifest_there_is_no_difference():
    rows = hospital_rows([hospital(name, LABELS, [0.1, 0.6, 0.7, 0.9] * 10) for name in "ab"], None, 200)
    assert [row["difference"] for row in rows] == [None, None]
