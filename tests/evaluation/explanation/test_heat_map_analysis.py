"""Location of heat maps of networks with known maps, and the choice of images."""

import json

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.table import read_manifest
from semenet.evaluation.explanation import heat_map_analysis
from semenet.evaluation.explanation.heat_map_analysis import (
    analyse_heat_maps,
    draw_evenly,
    plot_heat_in_lungs,
)
from semenet.evaluation.explanation.lung_zones import heat_by_class
from semenet.evaluation.measure.predictions import Predictions
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function_with_maps
from semenet.models.layers.heads import ClassifierHead
from semenet.training.run_folder.run import Run

SIDE = 32
LUNGS = (slice(8, 28), slice(4, 28))
CLASSES = ("a", "b")


def network(path, bright=True, head="gap", lungs_alone=False):
    """Returns a network whose map for each class is the brightness or darkness of the image, per pixel."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image) if bright else keras.layers.Rescaling(-1 / 255, 1)(image)
    x = keras.layers.Conv2D(1, 1, name="conv")(x)
    x = keras.layers.Identity(name="features")(x)
    if head == "gap":
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    else:
        x = keras.layers.Flatten(name="flatten")(x)
    outputs = ClassifierHead(CLASSES, lungs_alone=lungs_alone, activation="softmax", name="head")(x)
    model = keras.Model(image, outputs)
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    weights = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([np.ones_like(weights[0]), np.zeros(2)])
    model.save(path)
    return Run.open(path)


@pytest.fixture
def data(tmp_path):
    """Eight images of white lungs on black, with their masks."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[LUNGS] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), image)
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    frame = pd.DataFrame({"file": [f"{number}.png" for number in range(8)], "label": ["a", "b"] * 4})
    frame["patient"] = frame["file"]
    frame.assign(split="val", mask="mask.png").to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path


def rows_of(data):
    return read_manifest(data / "manifest.csv").split("val")


PREDICTED = np.array([0, 0, 0, 0, 0, 1, 1, 1])


def analyse(run, rows, batch_size):
    """Analyses the maps as if the network predicted `PREDICTED`; the maps of both classes are equal."""
    predictions = Predictions(run, rows, scoring_function_with_maps(run), LungMasks(), batch_size)
    predictions.predicted = PREDICTED
    return analyse_heat_maps(run, rows, predictions, LungMasks(), batch_size)


@pytest.mark.parametrize("head", ["gap", "flatten"])
@pytest.mark.parametrize(("bright", "share"), [(True, 1), (False, 0)])
def test_heat_lies_where_the_network_looks(data, bright, share, head):
    run = network(data / "model.keras", bright, head)
    found = analyse(run, rows_of(data), 3)
    assert found["method"] == ("cam" if head == "gap" else "grad-cam")
    assert found["images"] == 8
    assert found["masks"] == "the manifest's masks"
    assert {name: of_class["count"] for name, of_class in found["classes"].items()} == {"a": 5, "b": 3}
    for of_class in found["classes"].values():
        assert of_class["in_lung"]["mean"] == pytest.approx(share, abs=1e-4)
        assert of_class["lung_area"]["mean"] == pytest.approx(20 * 24 / SIDE**2)
    assert found["sanity"]["method"] == found["method"]
    assert {group["group"] for group in found["sanity"]["groups"]} >= {"head"}
    json.dumps(found, allow_nan=False)


def test_maps_of_a_network_that_takes_lungs_alone_lie_inside_them(data):
    """All images are white: on whole images some heat lies outside the lungs, on lungs alone none does."""
    for number in range(8):
        cv2.imwrite(str(data / f"{number}.png"), np.full((SIDE, SIDE), 255, np.uint8))
    rows, shares = rows_of(data), {}
    for alone in (False, True):
        run = network(data / f"{alone}.keras", lungs_alone=alone)
        found = analyse(run, rows, 8)
        shares[alone] = found["classes"]["a"]["in_lung"]["mean"]
    assert shares[False] == pytest.approx(20 * 24 / SIDE**2, abs=1e-4)
    assert shares[True] == pytest.approx(1, abs=1e-4)


def test_without_masks_maps_are_checked_but_not_located(data):
    run = network(data / "model.keras")
    whole = rows_of(data)
    bare = whole.drop(columns=["mask", "mask_path"])
    gap = whole.assign(mask_path=["", *whole["mask_path"][1:]])
    found = analyse(run, bare, 8)
    assert found["classes"] is found["masks"] is None
    assert found["images"] == 0
    assert found["sanity"]["groups"]
    found = analyse(run, gap, 8)
    assert {name: of_class["count"] for name, of_class in found["classes"].items()} == {"a": 4, "b": 3}


def test_located_maps_are_balanced_over_the_classes(data, monkeypatch):
    monkeypatch.setattr(heat_map_analysis, "MAX_LOCATED", 6)
    monkeypatch.setattr(heat_map_analysis, "MAX_RANDOMIZED", 2)
    run = network(data / "model.keras")
    found = analyse(run, rows_of(data), 4)
    assert found["images"] == 6
    assert {name: of_class["count"] for name, of_class in found["classes"].items()} == {"a": 3, "b": 3}
    group = found["sanity"]["groups"][0]
    assert group["count"] + group["empty"] == 2


def test_draw_evenly():
    index = np.array([0] * 90 + [1] * 9 + [2])
    drawn = draw_evenly(index, 20, seed=0)
    assert np.array_equal(drawn, np.unique(drawn))
    # The one image of class 2, all nine of class 1, and ten of class 0 to make twenty.
    assert np.bincount(index[drawn]).tolist() == [10, 9, 1]
    assert np.bincount(index[draw_evenly(index, 3, seed=0)]).tolist() == [1, 1, 1]
    assert not np.array_equal(drawn, draw_evenly(index, 20, seed=1))
    np.testing.assert_array_equal(drawn, draw_evenly(index, 20, seed=0))
    np.testing.assert_array_equal(draw_evenly(index, 1000, seed=0), np.arange(100))
    assert draw_evenly(np.zeros(0, int), 5, seed=0).tolist() == []


def test_the_plot_has_a_box_for_each_class_with_maps():
    heat, mask = np.zeros((4, 4)), np.zeros((4, 4), np.uint8)
    heat[:2] = 1
    mask[1:3] = 1
    classes = heat_by_class([heat, heat], [mask, mask], [0, 0], CLASSES)
    axes = plot_heat_in_lungs(classes).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]
    marks = next(line for line in axes.lines if line.get_marker() == "D")
    np.testing.assert_allclose(marks.get_xdata(), [0.5])
