import os
import pathlib
import shutil
import threading

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.cli.main import main
from semenet.data.images.errors import ImageError, PixelRangeWarning
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import evaluation_dataset
from semenet.errors import SemenetError
from semenet.models.layers.heads import ClassifierHead, SegmentationHead
from semenet.models.weights.errors import WeightsError
from semenet.serving.exports.calibration_images import calibration_images
from semenet.serving.prediction.any_network import predict
from semenet.serving.prediction.network_predictions import predict_arrays, predict_network
from semenet.training.loop.fit import train
from semenet.training.run_folder.run import Run


def test_the_table_has_file_one_column_per_class_and_predicted(classifier_run, phantoms, tmp_path):
    out = tmp_path / "new" / "predictions.csv"
    predict(classifier_run, [phantoms.parent / "images"], out, batch_size=7)
    frame = pd.read_csv(out)
    assert frame.columns.tolist() == ["file", "normal", "bacteria", "virus", "predicted", "input_flags"]
    assert len(frame) == 45
    probabilities = frame[["normal", "bacteria", "virus"]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    expected = np.array(["normal", "bacteria", "virus"])[probabilities.argmax(1)]
    assert frame["predicted"].tolist() == expected.tolist()


def test_predictions_equal_the_network_on_the_evaluation_pipeline(classifier_run, phantoms):
    rows = read_manifest(phantoms).split("val")
    frame = predict(classifier_run, rows["path"].tolist(), batch_size=4)
    run = Run.open(classifier_run)
    expected = run.model.predict(evaluation_dataset(rows, input_size=(32, 32), batch_size=4), verbose=0)
    np.testing.assert_allclose(frame[list(run.class_names)], expected, rtol=1e-6)
    assert frame["file"].tolist() == rows["path"].tolist()


@pytest.mark.slow
def test_a_keras_file_predicts_as_its_run_also_with_clahe(classifier_run, phantoms, tiny_recipe, tmp_path):
    images = [phantoms.parent / "images"]
    with_clahe = train(tiny_recipe("vgg19_gap", inference_clahe=True, epochs=1), phantoms, tmp_path / "run")
    assert with_clahe.inference_clahe
    for run in (classifier_run, with_clahe.path):
        pd.testing.assert_frame_equal(predict(run / "model.keras", images), predict(run, images))


def test_a_network_that_returns_logits_is_rejected(phantoms, tmp_path):
    path = tmp_path / "linear.keras"
    semenet.build("vgg19_gap", activation="linear", input_shape=(32, 32, 1), width=0.125).save(path)
    with pytest.raises(WeightsError, match="softmax or sigmoid.*linear"):
        predict(path, [phantoms.parent / "images"])


def test_an_unreadable_file_is_named_or_skipped_and_listed(classifier_run, phantoms, tmp_path, capsys):
    good = sorted((phantoms.parent / "images").glob("*.png"))[:2]
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    out = tmp_path / "predictions.csv"
    with pytest.raises(ImageError, match=r"bad\.png"):
        predict(classifier_run, [*good, bad], out)
    assert not out.exists()

    frame = predict(classifier_run, [good[0], bad, good[1]], out, on_error="skip", batch_size=1)
    assert frame["file"].tolist() == [str(file) for file in good]
    errors = pd.read_csv(tmp_path / "predictions_errors.csv")
    assert errors["file"].tolist() == [str(bad)]
    assert "bad.png" in errors["reason"][0]
    assert "bad.png" in capsys.readouterr().err
    with pytest.raises(ValueError, match="'raise' or 'skip'. Received: 'ignore'"):
        predict(classifier_run, good, on_error="ignore")


def test_a_pipe_is_listed_as_unreadable(classifier_run, phantoms, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(next((phantoms.parent / "images").glob("*.png")), folder / "good.png")
    os.mkfifo(folder / "x.png")
    out = tmp_path / "predictions.csv"
    work = {"target": predict, "args": (classifier_run, [folder], out), "kwargs": {"on_error": "skip"}}
    thread = threading.Thread(**work, daemon=True)
    thread.start()
    thread.join(60)
    # A thread that still waits for a writer reads the end of the file.
    os.close(os.open(folder / "x.png", os.O_RDWR))
    assert pd.read_csv(out)["file"].tolist() == [str(folder / "good.png")]
    (error,) = pd.read_csv(tmp_path / "predictions_errors.csv").itertuples()
    assert error.file == str(folder / "x.png")
    assert "which is a named pipe" in error.reason


@pytest.mark.parametrize("storage", ["pyarrow", "python"])
def test_a_name_that_is_not_utf_8_is_scored_and_escaped(classifier_run, phantoms, tmp_path, storage, capsys):
    """With and without pyarrow strings in pandas."""
    folder = tmp_path / "images"
    folder.mkdir()
    source = next((phantoms.parent / "images").glob("*.png"))
    shutil.copy(source, folder / os.fsdecode(b"m\xfcller.png"))
    (folder / os.fsdecode(b"bad\xff.png")).write_bytes(b"no image")
    out = tmp_path / os.fsdecode(b"\xe4") / "predictions.csv"
    with pd.option_context("mode.string_storage", storage):
        main(["predict", str(classifier_run), str(folder), "--out", str(out), "--on-error", "skip"])
        frame = pd.read_csv(out)
    assert frame["file"].tolist() == [rf"{folder}/m\xfcller.png"]
    probabilities = predict(classifier_run, [source])[["normal", "bacteria", "virus"]]
    np.testing.assert_allclose(frame[["normal", "bacteria", "virus"]], probabilities, rtol=1e-5)
    errors = pd.read_csv(out.with_name("predictions_errors.csv"))
    assert errors["file"].tolist() == [rf"{folder}/bad\xff.png"]
    assert r"bad\xff.png" in errors["reason"][0]
    printed = capsys.readouterr()
    assert r"bad\xff.png" in printed.err
    assert printed.out == f"{tmp_path}/\\xe4/predictions.csv\n"


def test_mask_files_have_the_names_in_the_table(finder, tmp_path):
    """`finder` is a segmentation network."""
    file = tmp_path / os.fsdecode(b"m\xfcller.png")
    file.write_bytes(cv2.imencode(".png", np.full((40, 50), 200, "uint8"))[1].tobytes())
    frame = predict(finder, [file], tmp_path / "lungs.csv", gated=False)
    mask = pathlib.Path(frame["mask"][0])
    assert mask == tmp_path / "lungs_masks" / r"m\xfcller.png"
    assert cv2.imread(str(mask), cv2.IMREAD_UNCHANGED).shape == (40, 50)


def test_int8_calibration_reads_names_that_are_not_utf_8(classifier_run, tmp_path):
    content = cv2.imencode(".png", np.full((40, 50), 200, "uint8"))[1].tobytes()
    (tmp_path / os.fsdecode(b"m\xfcller.png")).write_bytes(content)
    assert calibration_images(tmp_path, Run.open(classifier_run)).shape == (1, 32, 32, 1)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("cascade.json", "which is a cascade, which `semenet look`, `predict`, `evaluate`, `explain`"),
        ("saved_model.pb", "which is a SavedModel, which `semenet serve` accepts"),
        ("notes.txt", "which is none of these"),
    ],
)
def test_a_folder_for_another_command_is_recognised(tmp_path, made, message):
    (tmp_path / made).touch()
    with pytest.raises(WeightsError, match=f"Received: {tmp_path}, {message}"):
        predict_network(tmp_path, [tmp_path / made])


def test_a_missing_path_and_a_folder_without_images_are_named(classifier_run, tmp_path):
    with pytest.raises(ImageError, match="absent"):
        predict(classifier_run, [tmp_path / "absent"])
    with pytest.raises(ImageError, match=tmp_path.name):
        predict(classifier_run, [tmp_path])


@pytest.mark.slow
def test_a_unet_writes_masks_in_the_size_of_each_image(unet_run, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, height in zip(folders, (40, 70), strict=True):
        folder.mkdir()
        cv2.imwrite(str(folder / "same.png"), np.full((height, 50), 90, "uint8"))
    frame = predict(unet_run, folders, tmp_path / "lungs.csv", gated=False)
    assert frame.columns.tolist() == ["file", "lung", "mask", "input_flags"]
    assert frame["lung"].between(0, 1).all()
    shapes = [cv2.imread(mask, cv2.IMREAD_UNCHANGED).shape for mask in frame["mask"]]
    assert shapes == [(40, 50), (70, 50)]
    assert set(np.unique(cv2.imread(frame["mask"][0], cv2.IMREAD_UNCHANGED))) <= {0, 255}


def test_arrays_in_memory_equal_files(classifier_run, phantoms):
    files = sorted((phantoms.parent / "images").glob("*.png"))[:19]
    frame = predict(classifier_run, files)
    images = [read_image(file) for file in files]
    for arrays in (images, [image.astype("float64") for image in images]):
        probabilities = predict_arrays(classifier_run, arrays)
        np.testing.assert_allclose(probabilities, frame[["normal", "bacteria", "virus"]], rtol=1e-5)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3)), np.zeros(5), np.full((4, 4), np.nan), np.full((4, 4), np.inf)],
    ids=["colour", "flat", "nan", "inf"],
)
def test_an_invalid_array_is_rejected(classifier_run, image):
    with pytest.raises(ValueError, match="finite array.*Received: image 0"):
        predict_arrays(classifier_run, [image])


def test_an_empty_sequence_of_images_is_rejected(classifier_run):
    with pytest.raises(ValueError, match="one image or more. Received: none"):
        predict_arrays(classifier_run, [])


def brightness_network(path, lungs_alone, clahe=False, bias=0.0):
    """Its probability of "bright" is sigmoid(20 m - 8 + bias), m the mean input over 255."""
    image = keras.Input((32, 32, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="features")(image)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    head = ClassifierHead(("dark", "bright"), clahe, lungs_alone, activation="softmax", name="head")
    model = keras.Model(image, head(x))
    model.get_layer("head").set_weights([np.float32([[0, 20]]), np.float32([0, bias - 8])])
    model.save(path)
    return path


@pytest.fixture
def finder(tmp_path):
    """A stand-in for a U-Net of another size: every pixel brighter than 127.5 is lung."""
    image = keras.Input((64, 64, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="features")(image)
    model = keras.Model(image, SegmentationHead(("lung",), activation="sigmoid", name="head")(x))
    model.get_layer("head").set_weights([np.float32([[[[40]]]]), np.float32([-20])])
    model.save(tmp_path / "unet.keras")
    return tmp_path / "unet.keras"


def half_bright(number, height=64):
    """The upper half is bright, the lower one grey."""
    image = np.full((height, 48), 100, "uint8")
    image[: height // 2] = 200 + number
    return image


def probability(mean):
    return 1 / (1 + np.exp(-(20 * mean / 255 - 8)))


def test_a_network_for_lungs_alone_gets_them(finder, tmp_path):
    (tmp_path / "in").mkdir()
    images = [half_bright(number, height) for number, height in enumerate((64, 32, 128))]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), image)
    alone = brightness_network(tmp_path / "alone.keras", lungs_alone=True)
    whole = brightness_network(tmp_path / "whole.keras", lungs_alone=False)
    expected = [probability((200 + number) / 2) for number in range(3)]
    found = predict(alone, [tmp_path / "in"], tmp_path / "p.csv", lungs=finder, batch_size=2, gated=False)
    np.testing.assert_allclose(found["bright"], expected, atol=0.01)
    np.testing.assert_allclose(predict_arrays(alone, images, lungs=finder)[:, 1], expected, atol=0.01)
    # A network for whole images gets them, whether `lungs` is given or not.
    expected = [probability((300 + number) / 2) for number in range(3)]
    for lungs in (None, finder):
        found = predict(whole, [tmp_path / "in"], lungs=lungs, gated=False)
        np.testing.assert_allclose(found["bright"], expected, atol=0.01)
        np.testing.assert_allclose(predict_arrays(whole, images, lungs=lungs)[:, 1], expected, atol=0.01)


def test_everything_outside_the_lungs_is_black_after_clahe_and_in_every_view(finder, tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.full((64, 64), 100, "uint8"))
    alone = brightness_network(tmp_path / "alone.keras", lungs_alone=True, clahe=True)
    found = predict(alone, [tmp_path / "0.png"], lungs=finder, tta=3, gated=False)
    np.testing.assert_allclose(found["bright"], probability(0), atol=1e-6)


def test_a_network_for_lungs_alone_rejects_whole_images(finder, tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), half_bright(0))
    alone = brightness_network(tmp_path / "alone.keras", lungs_alone=True)
    message = r"needs lung masks. Received: .*alone.keras.*Give a U-Net's run with --lungs"
    with pytest.raises(SemenetError, match=message):
        predict(alone, [tmp_path / "0.png"], tmp_path / "p.csv")
    with pytest.raises(SemenetError, match=message):
        predict_arrays(alone, [half_bright(0)])
    with pytest.raises(SemenetError, match="Give a U-Net's run"):
        predict(alone, [tmp_path / "0.png"], lungs=alone)
    assert not (tmp_path / "p.csv").exists()


def test_unreadable_files_are_skipped_with_lungs(finder, tmp_path):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), half_bright(number))
    (tmp_path / "bad.png").write_text("none")
    files = [tmp_path / name for name in ("0.png", "bad.png", "1.png")]
    alone = brightness_network(tmp_path / "alone.keras", lungs_alone=True)
    found = predict(alone, files, on_error="skip", lungs=finder, batch_size=2, gated=False)
    assert found["file"].tolist() == [str(files[0]), str(files[2])]
    np.testing.assert_allclose(found["bright"], [probability(100), probability(100.5)], atol=0.01)


def test_a_diverged_network_is_rejected(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), half_bright(0))
    run = brightness_network(tmp_path / "nan.keras", lungs_alone=False, bias=np.nan)
    with pytest.raises(SemenetError, match=r"\d NaN among 2 values"):
        predict(run, [tmp_path / "0.png"], tmp_path / "p.csv")
    with pytest.raises(SemenetError, match=r"\d NaN among 2 values"):
        predict_arrays(run, [half_bright(0)])
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("factor", [1 / 255, 16.0])
def test_a_wrong_pixel_range_is_reported_with_the_image(classifier_run, factor, fresh_range_warning):
    image = np.random.default_rng(0).integers(0, 256, (40, 40)) * factor
    with pytest.warns(PixelRangeWarning, match="image 1"):
        predict_arrays(classifier_run, [np.full((40, 40), 90.0), image])


def test_one_path_is_one_image(classifier_run, phantoms):
    file = next((phantoms.parent / "images").glob("*.png"))
    expected = predict(classifier_run, [file])
    for one in (file, str(file)):
        pd.testing.assert_frame_equal(predict(classifier_run, one), expected)
    pd.testing.assert_frame_equal(predict(classifier_run, iter([str(file)])), expected)
    assert len(predict(classifier_run, str(file.parent))) == 45


def test_one_array_is_one_image(classifier_run):
    image = np.random.default_rng(0).integers(0, 256, (40, 50))
    expected = predict_arrays(classifier_run, [image])
    np.testing.assert_array_equal(predict_arrays(classifier_run, image), expected)
    np.testing.assert_array_equal(predict_arrays(classifier_run, image[np.newaxis]), expected)


def test_a_model_and_a_run_predict_as_their_path(classifier_run, unet_run, phantoms, finder, tmp_path):
    images = phantoms.parent / "images"
    expected = predict(classifier_run, images)
    for network in (semenet.load_model(classifier_run), Run.open(classifier_run), str(classifier_run)):
        pd.testing.assert_frame_equal(predict(network, images), expected)
    expected = predict(unet_run, images)
    pd.testing.assert_frame_equal(predict(semenet.load_model(unet_run), images), expected)
    alone = brightness_network(tmp_path / "alone.keras", lungs_alone=True)
    expected = predict_arrays(alone, half_bright(0), lungs=finder)
    found = predict_arrays(semenet.load_model(alone), half_bright(0), lungs=semenet.load_model(finder))
    np.testing.assert_array_equal(found, expected)
