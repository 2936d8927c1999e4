"""Every command that measures, on a manifest in which some labels are partial."""

import importlib.resources
import json

import cv2
import jsonschema
import keras
import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.data.manifest.table import ManifestError
from semenet.evaluation.explanation.explanations import choose_cases
from semenet.evaluation.measure.comparison import compare, comparison_lines
from semenet.models.layers.heads import ClassifierHead

CLASSES = ("normal", "bacteria", "virus")
SIDE = 32
# label and grey level of each image: the network predicts normal if dark, virus if bright.
ROWS = [
    ("normal", 25),
    ("normal", 125),
    ("bacteria", 125),
    ("bacteria", 140),
    ("virus", 230),
    ("virus", 25),
    ("bacteria|virus", 230),
    ("bacteria|virus", 125),
    ("virus|bacteria", 30),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that predicts by brightness, and a manifest of nine images, three with partial labels."""
    folder = tmp_path_factory.mktemp("partial")
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    model = keras.Model(image, ClassifierHead(CLASSES, activation="softmax", name="head")(x), name="bright")
    model.get_layer("head").set_weights([np.float32([[0, 20, 40]]), np.float32([0, -6, -20])])
    model.save(folder / "model.keras")
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[8:24, 8:24] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    table = []
    for number, (label, grey) in enumerate(ROWS):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((SIDE, SIDE), grey, np.uint8))
        cv2.imwrite(str(folder / f"mask{number}.png"), mask)
        place = "a" if number % 2 else "b"
        table.append((f"{number}.png", f"mask{number}.png", label, f"p{number}", "val", place))
    columns = ["file", "mask", "label", "patient", "split", "source"]
    pd.DataFrame(table, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return folder


def test_evaluate_counts_partial_labels_where_they_decide_and_says_so(folder):
    found = semenet.evaluate(folder / "model.keras", folder / "manifest.csv", out=folder / "out", by="source")
    schema = json.loads(
        importlib.resources.files("semenet.evaluation").joinpath("metrics.schema.json").read_text()
    )
    jsonschema.validate(found, schema)
    assert found["count"] == 9
    # Of six complete labels, normal as bacteria and virus as normal are wrong.
    assert found["accuracy"] == pytest.approx(4 / 6)
    # Of seven images that are not normal, the dark virus and a dark partial one are predicted normal.
    assert found["per_class"]["normal"]["specificity"] == pytest.approx(5 / 7)
    assert found["partial_labels"]["count"] == 3
    assert found["partial_labels"]["left_out"]["accuracy"] == 3
    assert found["partial_labels"]["left_out"]["per_class.normal"] == 0
    assert found["intervals"]["per_class.normal.specificity"] is not None
    assert sum(bins for bins in found["calibration"]["reliability"]["count"]) == 6
    group = found["subgroups"]["source"]
    assert sum(of_group["figures"]["partial_labels"]["count"] for of_group in group.values()) == 3
    table = pd.read_csv(folder / "out" / "predictions.csv")
    assert table["label"].tolist() == [label for label, _ in ROWS]
    for name in ("report.html", "card.md"):
        text = (folder / "out" / name).read_text()
        assert "3 images have a partial label" in text
        assert "0 for normal, 3 for bacteria, 3 for virus" in text
    assert "True class: bacteria|virus" in (folder / "out" / "report.html").read_text()


def test_complete_labels_say_nothing_about_partial_ones(folder):
    table = pd.read_csv(folder / "manifest.csv").iloc[:6]
    table.to_csv(folder / "complete.csv", index=False)
    found = semenet.evaluate(folder / "model.keras", folder / "complete.csv", out=folder / "complete")
    assert "partial_labels" not in found
    assert "partial label" not in (folder / "complete" / "report.html").read_text()


def test_calibration_uses_complete_labels_and_says_so(folder):
    (folder / "calibrated").mkdir(exist_ok=True)
    network = folder / "calibrated" / "model.keras"
    network.write_bytes((folder / "model.keras").read_bytes())
    found = semenet.calibrate(network, folder / "manifest.csv")
    alone = semenet.calibrate(network, _complete(folder))
    assert found["count"] == alone["count"] == 6
    assert found["partial_labels_left_out"] == 3
    assert "partial_labels_left_out" not in alone
    assert found["temperature"] == alone["temperature"]
    assert any("3 images with a partial label" in warning for warning in found["warnings"])
    evaluated = semenet.evaluate(network, folder / "manifest.csv", out=folder / "calibrated" / "out")
    assert evaluated["operating_points"]["normal"]["sensitivity"]["false_positives"] >= 0


def _complete(folder):
    path = folder / "only_complete.csv"
    pd.read_csv(folder / "manifest.csv").iloc[:6].to_csv(path, index=False)
    return path


def test_comparison(folder):
    found = compare(folder / "model.keras", folder / "model.keras", folder / "manifest.csv", resamples=200)
    assert found["partial_labels"] == 3
    auroc = found["figures"]["per_class.normal.auroc"]["first"]
    assert found["delong"]["normal"]["plain"]["areas"][0] == pytest.approx(auroc)
    assert any("3 images have a partial label" in line for line in comparison_lines(found))


def test_audit(folder):
    found = semenet.audit(
        folder / "model.keras", folder / "manifest.csv", out=folder / "audit", resamples=200
    )
    assert found["count"] == 9
    assert found["views"]["as_fed"]["accuracy"] == pytest.approx(4 / 6)


def test_every_possible_class_is_right_for_an_explanation():
    table = pd.DataFrame({"label": ["a|b", "a|b", "c"], "predicted": ["b", "c", "c"]})
    assert choose_cases(table, "right").index.tolist() == [0, 2]
    assert choose_cases(table, "wrong").index.tolist() == [1]


def test_only_partial_labels_are_refused(folder):
    path = folder / "partial.csv"
    pd.read_csv(folder / "manifest.csv").iloc[6:].to_csv(path, index=False)
    with pytest.raises(ManifestError, match="label names one class"):
        semenet.evaluate(folder / "model.keras", path, out=folder / "none")
    with pytest.raises(ManifestError, match="label names one class"):
        semenet.calibrate(folder / "model.keras", path)
