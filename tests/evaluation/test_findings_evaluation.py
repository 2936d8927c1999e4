"""Networks with sigmoid outputs: evaluated, calibrated, used and exported by thresholds, never by argmax."""

import importlib.resources
import json

import cv2
import jsonschema
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import semenet
from semenet.models.layers.heads import ClassifierHead
from semenet.training.run_folder.run import Run

SIDE = 32
NAMES = ("bright", "very bright")
GREYS = [20, 90, 150, 200, 250, 60, 180, 230]
LABELS = [("0", "0"), ("0", "0"), ("1", "0"), ("1", ""), ("1", "1"), ("", "0"), ("1", "0"), ("1", "1")]


def network(names=NAMES, biases=(-5.0, -8.0)):
    """Returns a network whose probabilities are sigmoid(10 m + bias), m the mean input over 255."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    model = keras.Model(image, ClassifierHead(names, activation="sigmoid", name="head")(x), name="bright")
    model.class_names = names
    model.get_layer("head").set_weights([np.full((1, len(names)), 10, np.float32), np.float32(biases)])
    return model


@pytest.fixture
def folder(tmp_path):
    network().save(tmp_path / "model.keras")
    rows = []
    (tmp_path / "images").mkdir()
    for number, (grey, labels) in enumerate(zip(GREYS, LABELS, strict=True)):
        for split in ("val", "test"):
            file = f"images/{split}{number}.png"
            cv2.imwrite(str(tmp_path / file), np.full((SIDE, SIDE), grey, np.uint8))
            rows.append((file, f"{split}{number}", split, *labels))
    columns = ["file", "patient", "split", *(f"label:{name}" for name in NAMES)]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path


def expected_probability(grey, bias):
    return 1 / (1 + np.exp(-(10 * grey / 255 + bias)))


def test_evaluation_measures_each_finding_where_it_is_known(folder):
    found = semenet.evaluate(folder / "model.keras", folder / "manifest.csv", "test", out=folder / "out")
    schema = importlib.resources.files("semenet.evaluation").joinpath("metrics.schema.json").read_text()
    jsonschema.validate(found, json.loads(schema))
    assert found["labels"] == "several"
    assert found["thresholds_chosen_on"] is None
    bright, very = found["per_class"]["bright"], found["per_class"]["very bright"]
    assert (bright["support"], bright["without"], bright["not_known"]) == (5, 2, 1)
    assert (very["support"], very["without"], very["not_known"]) == (2, 5, 1)
    assert bright["auroc"] == very["auroc"] == found["macro_auroc"] == 1
    # sigmoid(10 m - 8) is 0.5 at a grey level of 204.
    assert (very["threshold"], very["sensitivity"], very["specificity"]) == (0.5, 1, 1)
    assert found["intervals"]["per_class.very bright.sensitivity"] == [1, 1]
    assert "accuracy" not in found
    table = pd.read_csv(folder / "out" / "predictions.csv", dtype=str, keep_default_na=False)
    assert list(table) == ["file", "patient", *(f"label:{n}" for n in NAMES), "predicted", *NAMES]
    both = "bright|very bright"
    none = "no finding"
    assert table["predicted"].tolist() == [none, none, "bright", "bright", both, none, "bright", both]
    expected = [expected_probability(grey, -8) for grey in GREYS]
    np.testing.assert_allclose(table["very bright"].astype(float), expected, rtol=1e-4)
    page, card = ((folder / "out" / name).read_text() for name in ("report.html", "card.md"))
    assert "By finding" in page
    assert "All thresholds are 0.5" in page
    assert "Finding: very bright" in page
    assert "| very bright | 2 |" in card


def test_thresholds_are_chosen_stored_and_followed_everywhere(folder):
    model = folder / "model.keras"
    found = semenet.calibrate(model, folder / "manifest.csv", "val")
    assert found["temperature"] == 1
    # Bright from 150 on, known without it up to 90: the lowest probability of an image that has it.
    threshold = found["operating_points"]["bright"]["youden"]["threshold"]
    assert threshold == pytest.approx(expected_probability(150, -5), rel=1e-4)
    very = found["operating_points"]["very bright"]["youden"]
    assert very["threshold"] == pytest.approx(expected_probability(230, -8), rel=1e-4)
    assert (very["sensitivity"], very["specificity"], very["count"]) == (1, 1, 7)
    assert Run.open(model).thresholds == (threshold, very["threshold"])
    evaluated = semenet.evaluate(model, folder / "manifest.csv", "test", out=folder / "out")
    assert evaluated["thresholds_chosen_on"]["split"] == "val"
    assert evaluated["per_class"]["bright"]["threshold"] == threshold
    # A grey level of 140 is above 0.5 and below the chosen threshold.
    for grey in (140, 160):
        cv2.imwrite(str(folder / f"{grey}.png"), np.full((SIDE, SIDE), grey, np.uint8))
    files = [folder / "140.png", folder / "160.png"]
    table = semenet.predict(model, files, gated=False)
    assert table["bright"].iloc[0] > 0.5
    assert table["predicted"].tolist() == ["no finding", "bright"]
    explained = semenet.explain(model, files, out=folder / "explained")
    assert explained["predicted"].tolist() == ["no finding", "bright"]
    semenet.export(model, folder / "saved")
    served = tf.saved_model.load(str(folder / "saved")).signatures["serving_default"]
    # Not those whose probability is the threshold itself: an exported graph rounds differently.
    others = [folder / f"images/test{n}.png" for n, grey in enumerate(GREYS) if grey not in (150, 230)]
    contents = [file.read_bytes() for file in [*files, *others]]
    answer = served(image_bytes=tf.constant([*contents, b"no image"]))
    alone = semenet.predict(model, [*files, *others], gated=False)
    assert len(set(alone["predicted"])) == 3
    assert [text.decode() for text in answer["predicted"].numpy()] == [*alone["predicted"], "error"]
    description = json.loads((folder / "saved" / "assets.extra" / "semenet.json").read_text())
    assert description["thresholds"] == [threshold, very["threshold"]]


def test_a_finding_of_one_kind_keeps_half_as_its_threshold(folder):
    table = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    table.assign(**{"label:very bright": "0"}).to_csv(folder / "none.csv", index=False)
    found = semenet.calibrate(folder / "model.keras", folder / "none.csv", "val")
    assert found["operating_points"]["very bright"]["youden"] is None
    assert any("very bright: their threshold stays 0.5" in warning for warning in found["warnings"])
    assert Run.open(folder / "model.keras").thresholds[1] == 0.5


def test_a_single_output_answers_both_ways(folder):
    """A network of one class once predicted it at every probability."""
    model = network(("bright",), (-5.0,))
    table = semenet.predict(model, [folder / "images/test0.png", folder / "images/test4.png"], gated=False)
    assert table["predicted"].tolist() == ["no finding", "bright"]
    labels = ["bright" if grey > 127 else "dark" for grey in GREYS for _ in range(2)]
    rows = pd.read_csv(folder / "manifest.csv")[["file", "patient", "split"]].assign(label=labels)
    rows.to_csv(folder / "labels.csv", index=False)
    found = semenet.evaluate(model, folder / "labels.csv", "test", out=folder / "one")
    assert found["per_class"]["bright"]["sensitivity"] == 1
    assert found["per_class"]["bright"]["specificity"] == 1
    assert found["per_class"]["bright"]["support"] == 5
