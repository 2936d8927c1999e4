"""Explanations of image files and of a split: pictures, tables and errors."""

import os
import types

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from semenet import metrics
from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image
from semenet.data.pipeline.datasets import prepare_image
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.lung_view import LungView
from semenet.errors import SemenetError
from semenet.evaluation.drawing.panels import panel
from semenet.evaluation.explanation import explanation_files
from semenet.evaluation.explanation.explanations import choose_cases, explain, explain_files, explain_split
from semenet.inference.heat_maps.class_activation import grad_cam
from semenet.inference.heat_maps.map_choice import heat_map, method_function
from semenet.inference.heat_maps.overlays import (
    cell_geometry,
    encode_image,
    overlay_heat_map,
    resize_heat_map,
)
from semenet.models.layers.heads import SegmentationHead
from semenet.storage.atomic import unique_stems
from semenet.training.run_folder.run import Run

COLUMNS = ["file", "predicted", "probability", "class", "method", "heatmap", "overlay", "panel"]
NAMES = ("normal", "bacteria", "virus")


def a_run(size=(16, 16), channels=1, temperature=1.0, clahe=False):
    """Returns an untrained network with mostly positive weights, so that most maps are not 0 everywhere."""
    kernel = keras.initializers.RandomNormal(0.2, 0.5)
    image = keras.Input((*size, channels))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="deeper")(x)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    outputs = keras.layers.Dense(3, activation="softmax", kernel_initializer=kernel, name="head")(x)
    return types.SimpleNamespace(
        model=keras.Model(image, outputs),
        class_names=NAMES,
        input_size=size,
        channels=channels,
        inference_clahe=clahe,
        segments=False,
        lungs_alone=False,
        lung_view=LungView(),
        needs_lungs=False,
        thresholds=None,
        temperature=temperature,
        activation="softmax",
        name="run",
    )


def write_image(path, seed, shape=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_explain_files(tmp_path, channels):
    run = a_run(channels=channels)
    first = write_image(tmp_path / "in" / "a.png", 1)
    second = write_image(tmp_path / "in" / "deeper" / "a.png", 2, (24, 50))
    returned = explain_files(run, [tmp_path / "in"], tmp_path / "out", batch_size=2)
    table = pd.read_csv(tmp_path / "out" / "explanations.csv")
    pd.testing.assert_frame_equal(table, returned, check_dtype=False)
    assert list(table.columns) == COLUMNS
    assert table["file"].tolist() == [str(first), str(second)]
    assert table["heatmap"].tolist() == ["a_heatmap.png", "a_2_heatmap.png"]
    assert table["overlay"].tolist() == ["a_overlay.png", "a_2_overlay.png"]
    assert table["panel"].tolist() == ["a_panel.png", "a_2_panel.png"]
    assert table["method"].tolist() == ["grad-cam"] * 2
    assert table["class"].tolist() == table["predicted"].tolist()
    geometry = cell_geometry(run)
    # With 3 x 3 windows and stride 2 on an even side, padding is added only at the end: 1 + 2, not 1.5.
    assert geometry.start == (3, 3)
    for file, row in zip((first, second), table.itertuples(), strict=True):
        image = read_image(file)
        network_input = prepare_image(image, run.input_size, channels, False)[None]
        output = run.model.predict(network_input, verbose=0)[0]
        assert row.predicted == run.class_names[output.argmax()]
        assert row.probability == pytest.approx(output.max(), abs=1e-6)
        heat = grad_cam(run.model, network_input)[0]
        grey = cv2.imread(str(tmp_path / "out" / row.heatmap), cv2.IMREAD_UNCHANGED)
        assert grey.shape == image.shape
        np.testing.assert_allclose(grey / 255, resize_heat_map(heat, image.shape, geometry), atol=0.003)
        picture = cv2.imread(str(tmp_path / "out" / row.overlay))[..., ::-1]
        assert np.abs(picture.astype(int) - overlay_heat_map(image, heat, geometry=geometry)).max() <= 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "explanations.csv",
        *table["heatmap"],
        *table["overlay"],
        *table["panel"],
    }


def test_explain_files_with_other_method_layer_class_and_labels(tmp_path):
    run = a_run()
    files = [write_image(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    explain_files(
        run,
        files,
        tmp_path / "out",
        method="grad-cam++",
        layer="conv",
        class_name="virus",
        true_labels=["virus", None],
    )
    table = pd.read_csv(tmp_path / "out" / "explanations.csv", keep_default_na=False)
    columns = ["file", "label", *COLUMNS[1:]]
    assert list(table.columns) == [*columns[:6], "layer", *columns[6:]]
    assert table["layer"].tolist() == ["conv"] * 2
    assert table["label"].tolist() == ["virus", ""]
    assert table["class"].tolist() == ["virus"] * 2
    assert table["method"].tolist() == ["grad-cam++"] * 2
    explained = method_function("grad-cam++")(run.model, "conv")
    for file, row in zip(files, table.itertuples(), strict=True):
        heat, output = explained(prepare_image(read_image(file), (16, 16))[None], 2)
        assert row.predicted == NAMES[output[0].argmax()]
        assert row.probability == pytest.approx(output[0].max(), abs=1e-6)
        grey = cv2.imread(str(tmp_path / "out" / row.heatmap), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(
            grey / 255, resize_heat_map(heat[0], (40, 30), cell_geometry(run, "conv")), atol=0.003
        )


def test_probabilities_are_calibrated(tmp_path):
    file = write_image(tmp_path / "a.png", 1)
    run = a_run(temperature=4.0)
    run.model.get_layer("head").bias.assign([2, 0, 1])
    output = run.model.predict(prepare_image(read_image(file), (16, 16))[None], verbose=0)
    table = explain_files(run, [file], tmp_path / "out")
    by_hand = output[0] ** 0.25 / (output[0] ** 0.25).sum()
    assert table["probability"][0] == pytest.approx(by_hand.max(), abs=1e-5)
    assert abs(by_hand.max() - output.max()) > 0.01
    np.testing.assert_allclose(metrics.apply_temperature(output, 4.0, "softmax")[0], by_hand, atol=1e-6)


@pytest.mark.parametrize("clahe", [False, True])
def test_the_network_input_is_black_outside_a_mask(tmp_path, clahe):
    """Masking follows CLAHE and resizing, as in training; an image without a mask stays whole."""
    run = a_run(clahe=clahe)
    files = [write_image(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    mask = np.zeros((40, 30), np.uint8)
    mask[10:30, 5:20] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    table = explain_files(run, files, tmp_path / "out", masks=[tmp_path / "mask.png", None])
    for file, row, is_masked in zip(files, table.itertuples(), (True, False), strict=True):
        seen = host_transforms.resize(read_image(file), (16, 16))
        seen = host_transforms.clahe(seen) if clahe else seen
        if is_masked:
            seen = np.where(host_transforms.resize_mask(mask, (16, 16)), seen, 0)
        output = run.model.predict(seen[None, ..., None], verbose=0)
        assert row.probability == pytest.approx(output.max(), abs=1e-6)
        # The picture shows the whole radiograph.
        picture = cv2.imread(str(tmp_path / "out" / row.overlay))
        assert picture[0].any()


def test_explain_files_names_a_bad_file_and_refuses_bad_arguments(tmp_path):
    run = a_run()
    good = write_image(tmp_path / "good.png", 1)
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"bad\.png"):
        explain_files(run, [good, bad], tmp_path / "out")
    with pytest.raises(ValueError, match=r"one of normal, bacteria, virus\. Received: 'COVID-19'"):
        explain_files(run, [good], tmp_path / "out", class_name="COVID-19")
    with pytest.raises(ValueError, match=r"`true_labels` has one entry.*Received: 2 for 1 images"):
        explain_files(run, [good], tmp_path / "out", true_labels=["a", "b"])
    with pytest.raises(ValueError, match=r"`masks` has one entry.*Received: 0 for 1 images"):
        explain_files(run, [good], tmp_path / "out", masks=[])
    run.segments = True
    with pytest.raises(ValueError, match="explain a classifier"):
        explain_files(run, [good], tmp_path / "out")
    with pytest.raises(ValueError, match="explain a classifier"):
        explain_split(run, tmp_path / "manifest.csv", "val", tmp_path / "out")


def test_cases_are_chosen_by_label_and_prediction():
    table = pd.DataFrame({"file": list("abc"), "label": ["x", "y", "x"], "predicted": ["x", "x", "y"]})
    assert choose_cases(table)["file"].tolist() == ["b", "c"]
    assert choose_cases(table, "right")["file"].tolist() == ["a"]
    assert choose_cases(table, "all")["file"].tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"one of wrong, right, all\. Received: 'worst'"):
        choose_cases(table, "worst")
    with pytest.raises(ValueError, match=r"Received: a table without predicted"):
        choose_cases(table[["file", "label"]])


@pytest.mark.parametrize("masked", [False, True])
def test_errors_of_a_split_are_explained(phantoms, tmp_path, masked):
    run = a_run(size=(32, 32))
    run.lungs_alone = run.needs_lungs = masked
    table = explain_split(run, phantoms, "test", tmp_path / "out", "wrong", batch_size=4)
    assert list(table.columns) == ["file", "label", *COLUMNS[1:]]
    manifest = pd.read_csv(phantoms)
    rows = manifest[manifest["split"] == "test"]
    expected = []
    for row in rows.itertuples():
        seen = prepare_image(read_image(phantoms.parent / row.file), (32, 32))
        if masked:
            mask = cv2.imread(str(phantoms.parent / row.mask), cv2.IMREAD_GRAYSCALE)
            seen = seen * (host_transforms.resize_mask(mask, (32, 32)) > 0)[..., None]
        predicted = NAMES[run.model.predict(seen[None], verbose=0)[0].argmax()]
        expected += [(row.file, row.label, predicted)] if predicted != row.label else []
    assert 0 < len(expected) < len(rows)
    assert list(table[["file", "label", "predicted"]].itertuples(index=False, name=None)) == expected
    assert all((tmp_path / "out" / name).is_file() for name in table["panel"])


def test_without_a_case_the_table_is_empty_and_a_message_is_printed(phantoms, tmp_path, capsys):
    run = a_run(size=(32, 32))
    run.model.get_layer("head").bias.assign([0, 100, 0])
    manifest = pd.read_csv(phantoms)
    manifest["file"] = [str(phantoms.parent / file) for file in manifest["file"]]
    manifest.drop(columns="mask").query("label == 'bacteria'").to_csv(tmp_path / "one.csv", index=False)
    explain_split(run, tmp_path / "one.csv", "test", tmp_path / "out", "wrong")
    written = pd.read_csv(tmp_path / "out" / "explanations.csv")
    assert written.empty
    assert list(written.columns) == ["file", "label", *COLUMNS[1:]]
    assert "No image of the split test was classified wrongly" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trained_run(phantoms, classifier_run, tmp_path):
    run = Run.open(classifier_run)
    table = explain_split(run, phantoms, "val", tmp_path / "out", "all")
    assert len(table) == (pd.read_csv(phantoms)["split"] == "val").sum()
    assert table["probability"].between(1 / 3, 1).all()


@pytest.mark.parametrize(
    ("shape", "longer"), [((64, 64), 320), ((400, 500), 500), ((3000, 2400), 640), ((900, 30), 640)]
)
def test_a_panel_has_a_legible_size_for_any_image_size(shape, longer):
    image = np.full(shape, 90, np.uint8)
    picture = np.full((*shape, 3), (10, 20, 30), np.uint8)
    drawn = panel(image, picture, ["a caption"])
    assert drawn.dtype == np.uint8
    height, width = (round(side * longer / max(shape)) for side in shape)
    # Both pictures have a white margin.
    assert (drawn[16 : 16 + height, 16 : 16 + width] == 90).all()
    assert (drawn[16 : 16 + height, 32 + width : 32 + 2 * width] == (10, 20, 30)).all()
    assert (drawn[:16] == 255).all()
    assert (drawn[:, :16] == 255).all()
    assert drawn.shape[1] >= 480
    # The colour bar runs from the last to the first colour of `COLOUR_MAP`.
    bar = drawn[16 : 16 + height, 48 + 2 * width + 5]
    assert bar[0].tolist() == [252, 255, 164]
    assert bar[-1].tolist() == [0, 0, 4]
    # Black text below.
    assert drawn[16 + height + 16 :].min() == 0


def test_a_long_caption_is_wrapped():
    image = np.zeros((64, 64), np.uint8)
    picture = np.zeros((64, 64, 3), np.uint8)
    short = panel(image, picture, ["virus"])
    long = panel(image, picture, ["a word " * 40, "w" * 200])
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] > short.shape[0] + 100
    assert (long[:, -16:] == 255).all()


def test_the_caption_states_explained_predicted_and_true_class(tmp_path, monkeypatch):
    captions = []
    monkeypatch.setattr(
        explanation_files, "panel", lambda image, picture, caption: captions.append(caption) or image
    )
    run = a_run()
    run.model.get_layer("head").set_weights(
        [np.zeros((6, 3), np.float32), np.log(np.float32([0.2, 0.7, 0.1]))]
    )
    file = write_image(tmp_path / "a.png", 1)
    explain_files(run, [file], tmp_path / "out", class_name="virus", true_labels=["normal"])
    assert captions == [
        [
            "grad-cam for virus: probability 0.100",
            "predicted: bacteria, probability 0.700",
            "true: normal",
            "The map is 0 everywhere: no evidence for the class was found.",
        ]
    ]


def test_pictures_of_another_layer_tell_method_and_layer(tmp_path, monkeypatch):
    captions = []
    monkeypatch.setattr(
        explanation_files, "panel", lambda image, picture, caption: captions.append(caption[0]) or image
    )
    run, file = a_run(), write_image(tmp_path / "a.png", 1)
    chosen = {"method": "layer_cam", "layer": "2", "class_name": "virus"}
    table = explain_files(run, [file], tmp_path / "out", **chosen)
    assert captions[0].startswith("layer-cam of conv for virus: probability ")
    assert table[["method", "layer"]].values.tolist() == [["layer-cam", "conv"]]
    heat = heat_map(
        run.model, prepare_image(read_image(file), (16, 16))[None], 2, method="layer-cam", layer=2
    )
    grey = cv2.imread(str(tmp_path / "out" / "a_heatmap.png"), cv2.IMREAD_UNCHANGED)
    expected = resize_heat_map(heat[0], (40, 30), cell_geometry(run, "conv"))
    np.testing.assert_allclose(grey / 255, expected, atol=0.003)


@pytest.mark.parametrize("storage", ["pyarrow", "python"])
def test_a_name_that_is_not_utf_8_is_explained_and_escaped(tmp_path, storage):
    """The pictures have the names in the table, with either string storage of pandas."""
    made = write_image(tmp_path / "a.png", 1)
    made.rename(tmp_path / os.fsdecode(b"m\xfcller.png"))
    with pd.option_context("mode.string_storage", storage):
        explain_files(a_run(), [tmp_path], tmp_path / "out")
        table = pd.read_csv(tmp_path / "out" / "explanations.csv")
    assert table["file"].tolist() == [rf"{tmp_path}/m\xfcller.png"]
    assert table["panel"].tolist() == [r"m\xfcller_panel.png"]
    assert (tmp_path / "out" / table["panel"][0]).is_file()


def test_unique_stems(tmp_path):
    names = ["a.png", "b/a.png", "a_2.png", "b/A.jpg", "c.png"]
    stems = unique_stems([tmp_path / name for name in names])
    assert stems == ["a", "a_2", "a_2_2", "A_3", "c"]


def test_encoded_pictures_keep_their_colours():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 200
    decoded = cv2.imdecode(np.frombuffer(encode_image(picture), np.uint8), cv2.IMREAD_COLOR)
    assert (decoded[..., ::-1] == picture).all()


def test_a_network_that_takes_lungs_alone_never_gets_a_whole_image(tmp_path):
    """A U-Net segments the lungs of images without a mask; without a U-Net such images are refused."""
    run = a_run()
    run.lungs_alone = run.needs_lungs = True
    files = [write_image(tmp_path / "in" / f"{name}.png", seed, (16, 16)) for seed, name in enumerate("ab")]
    mask = np.zeros((16, 16), np.uint8)
    mask[:, :8] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    for masks in (None, [tmp_path / "mask.png", None]):
        with pytest.raises(SemenetError, match="mask for every image. Received: run and images without"):
            explain_files(run, files, tmp_path / "out", masks=masks)
    image = keras.Input((16, 16, 1))
    x = keras.layers.Identity(name="features")(image)
    finder = keras.Model(image, SegmentationHead(("lung",), activation="sigmoid", name="head")(x))
    # The lungs are the pixels brighter than half of white.
    finder.get_layer("head").set_weights([np.float32([[[[1]]]]), np.float32([-127.5])])
    finder.save(tmp_path / "unet.keras")
    masks = [tmp_path / "mask.png", None]
    table = explain_files(run, files, tmp_path / "out", masks=masks, lungs=tmp_path / "unet.keras")
    images = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    inputs = np.stack([np.where(mask > 0, images[0], 0), np.where(images[1] >= 128, images[1], 0)])
    expected = run.model.predict(inputs[..., None], verbose=0).max(axis=1)
    np.testing.assert_allclose(table["probability"], expected, rtol=1e-5)


def test_a_diverged_network_is_refused(phantoms, tmp_path):
    run = a_run()
    weights = run.model.get_layer("head").get_weights()
    run.model.get_layer("head").set_weights([weights[0] * np.nan, weights[1]])
    with pytest.raises(SemenetError, match="returns NaN or infinity"):
        explain_files(run, [write_image(tmp_path / "a.png", 0)], tmp_path / "out")
    with pytest.raises(SemenetError, match="NaN among"):
        explain_split(run, phantoms, "val", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_explain_takes_one_path_several_or_a_split(phantoms, classifier_run, tmp_path):
    first, second = (phantoms.parent / file for file in pd.read_csv(phantoms)["file"][:2])
    one = explain(classifier_run, str(first), out=tmp_path / "one")
    assert one["file"].tolist() == [str(first)]
    assert list(one.columns) == COLUMNS
    mask = phantoms.parent / pd.read_csv(phantoms)["mask"][0]
    masked = explain(classifier_run, first, out=tmp_path / "masked", true_labels="virus", masks=mask)
    assert masked["label"].tolist() == ["virus"]
    assert masked["probability"][0] != one["probability"][0]
    two = explain(
        str(classifier_run), [first, str(second)], out=tmp_path / "two", true_labels=["virus", None]
    )
    assert two["file"].tolist() == [str(first), str(second)]
    assert two["label"][0] == "virus"
    assert two["label"].isna().tolist() == [False, True]
    split = explain(classifier_run, manifest=phantoms, split="test", only="all", out=str(tmp_path / "split"))
    rows = pd.read_csv(phantoms).query("split == 'test'")
    assert split[["file", "label"]].values.tolist() == rows[["file", "label"]].values.tolist()
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "split" / "explanations.csv"), split, check_dtype=False
    )


def test_explain_takes_either_images_or_a_manifest(phantoms, classifier_run, tmp_path):
    for images, manifest in ((None, None), ([], None), (phantoms.parent, phantoms)):
        with pytest.raises(SemenetError, match="Either images or a manifest are explained"):
            explain(classifier_run, images, manifest=manifest, out=tmp_path / "out")
    with pytest.raises(SemenetError, match="Received: a manifest, which has its own"):
        explain(classifier_run, manifest=phantoms, masks=[None], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
