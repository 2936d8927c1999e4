"""The comparison of methods and layers, on networks whose maps are known."""

import io

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import rich.console

import semenet
from semenet.errors import SemenetError
from semenet.evaluation.explanation import map_comparison
from semenet.evaluation.explanation.map_comparison import compare_map_methods, printed_table
from semenet.evaluation.explanation.randomization import randomization_check
from semenet.inference.heat_maps.map_choice import heat_map
from semenet.models.layers.heads import ClassifierHead

SIDE = 32


def bright_network(head="gap"):
    """Both layers pass the brightness on, with strides of 2 and 4."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(1, 2, strides=2, activation="relu", name="early")(x)
    x = keras.layers.Conv2D(1, 2, strides=2, activation="relu", name="late")(x)
    x = keras.layers.Identity(name="features")(x)
    pooling = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")
    x = pooling(x) if head == "gap" else keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(image, ClassifierHead(("a", "b"), activation="softmax", name="head")(x))
    for name in ("early", "late"):
        model.get_layer(name).set_weights([np.full((2, 2, 1, 1), 0.25), np.zeros(1)])
    kernel, _ = model.get_layer("head").get_weights()
    kernel[:, 0], kernel[:, 1] = 1, -1
    model.get_layer("head").set_weights([kernel, np.float32([1, 0])])
    model.class_names = ("a", "b")
    return model


@pytest.fixture
def data(tmp_path):
    """Six images of one bright square, which is the lesion, in lungs that fill the left half."""
    rows = []
    for number in range(6):
        image, lungs = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        top = 4 * number
        image[top : top + 8, 4:12], lungs[:, :16] = 255, 255
        for kind, picture in (("image", image), ("lesion", image), ("lungs", lungs)):
            cv2.imwrite(str(tmp_path / f"{kind}{number}.png"), picture)
        rows.append(
            (f"image{number}.png", f"p{number // 2}", "val", f"lungs{number}.png", f"lesion{number}.png")
        )
    frame = pd.DataFrame(rows, columns=["file", "patient", "split", "mask", "lesion_mask"])
    frame.to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_maps_of_a_network_that_sees_the_lesion_point_to_it(data, head):
    model = bright_network(head)
    before = model.get_weights()
    found = compare_map_methods(model, data / "manifest.csv", out=data / "out", layers=["2", "features"])
    methods = ["grad-cam", "grad-cam++", "layer-cam", "hires-cam"]
    of_last = (["cam"] if head == "gap" else []) + methods
    assert found["method"].tolist() == [*methods, *of_last]
    assert found["layer"].tolist() == ["early"] * 4 + ["features"] * len(of_last)
    assert found["stride"].tolist() == [2] * 4 + [4] * len(of_last)
    assert found["cells"].tolist() == ["16 x 16"] * 4 + ["8 x 8"] * len(of_last)
    assert (found["lesion_pointing"] == 1).all()
    assert (found["lung_pointing"] == 1).all()
    assert found["lesion_area"].to_numpy() == pytest.approx(64 / SIDE**2)
    assert found["lung_area"].to_numpy() == pytest.approx(0.5)
    # Bilinear edges spread over neighbouring cells: less so the smaller the cells are.
    energy = found.groupby("layer")["lesion_energy"].mean()
    assert 0.5 < energy["features"] < energy["early"] < 1
    assert (found["lesion_count"] == 6).all()
    assert (found["milliseconds"] > 0).all()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    written = pd.read_csv(data / "out" / "map_methods.csv").drop(columns="depends_on_weights")
    pd.testing.assert_frame_equal(written, found.drop(columns="depends_on_weights"), check_dtype=False)


def test_the_check_equals_that_of_one_method(data, monkeypatch):
    """With the same images, maps and random weights."""
    model = bright_network("flatten")
    found = compare_map_methods(
        model, data / "manifest.csv", out=data / "out", layers=["features"], methods=["layer_cam"], seed=4
    )
    images = np.stack([cv2.imread(str(data / f"image{n}.png"), cv2.IMREAD_UNCHANGED) for n in range(6)])
    images = images[..., np.newaxis]
    last = randomization_check(model, images, method="layer-cam", seed=4)["groups"][-1]
    row = found.iloc[0]
    assert row["method"] == "layer-cam"
    for name in ("correlation", "low", "high"):
        # NaN where no two maps can be compared.
        np.testing.assert_allclose(np.float64(row[f"randomized_{name}"]), np.float64(last[name]), rtol=1e-6)


def test_maps_that_do_not_depend_on_the_weights_are_told(data, monkeypatch):
    monkeypatch.setattr(
        map_comparison, "weighted_map", lambda features, gradient, weights: features[..., 0] * 0 + edges
    )
    edges = np.random.default_rng(0).random((8, 8), np.float32)
    found = compare_map_methods(
        bright_network(), data / "manifest.csv", out=data / "out", layers=[4], methods=["hires-cam"]
    )
    assert found["depends_on_weights"].tolist() == [False]
    assert found["randomized_correlation"].to_numpy() == pytest.approx(1)


def test_lungs_alone_and_rows_without_masks(data):
    frame = pd.read_csv(data / "manifest.csv").drop(columns="lesion_mask")
    frame.loc[0, "mask"] = ""
    frame.to_csv(data / "manifest.csv", index=False)
    found = compare_map_methods(
        bright_network(), data / "manifest.csv", out=data / "out", layers=[4], methods=["cam"]
    )
    assert found["lung_count"].tolist() == [5]
    assert not any(column.startswith("lesion") for column in found)
    stream = io.StringIO()
    rich.console.Console(file=stream, width=200).print(printed_table(found))
    assert "lung ratio" in stream.getvalue()
    assert "1.00 (1.00-1.00)" in stream.getvalue()
    frame.drop(columns="mask").to_csv(data / "manifest.csv", index=False)
    with pytest.raises(SemenetError, match=r"masks of lesions or lungs.*Received: .*--lungs"):
        compare_map_methods(bright_network(), data / "manifest.csv", out=data / "out")


def test_wrong_arguments(data):
    manifest, out = data / "manifest.csv", data / "out"
    with pytest.raises(SemenetError, match=r"Received: 'layercam'\. Did you mean 'layer-cam'\?"):
        compare_map_methods(bright_network(), manifest, out=out, methods=["layercam"])
    with pytest.raises(SemenetError, match=r"Received: 'erly'.*Did you mean early\?"):
        compare_map_methods(bright_network(), manifest, out=out, layers=["erly"])
    with pytest.raises(SemenetError, match=r"CAM weights the feature map .*Received: layer='early'"):
        compare_map_methods(bright_network(), manifest, out=out, layers=["early"], methods=["cam"])
    unet = semenet.build("unet", input_shape=(32, 32, 1), width=0.125, depth=0.1)
    with pytest.raises(SemenetError, match="a segmentation network"):
        compare_map_methods(unet, manifest, out=out)


def test_phantoms_have_all_that_is_needed(phantoms, classifier_run, tmp_path):
    found = compare_map_methods(classifier_run, phantoms, out=tmp_path, layers=[8], methods=["layer-cam"])
    row = found.iloc[0]
    rows = semenet.read_manifest(phantoms).split("val")
    assert row["lesion_count"] == (rows["label"] != "normal").sum()
    assert row["lung_count"] == len(rows)
    images = heat_map(
        semenet.load_model(classifier_run), np.zeros((1, 32, 32, 1)), method="layer-cam", layer=8
    )
    assert row["cells"] == f"{images.shape[1]} x {images.shape[2]}"
