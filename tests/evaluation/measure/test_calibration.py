"""Calibration end to end: chosen values, errors, and equal use in all commands."""

import json
import shutil

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semenet import metrics
from semenet.data.manifest.table import ManifestError, read_manifest
from semenet.data.pipeline.datasets import evaluation_dataset
from semenet.errors import SemenetError
from semenet.evaluation.measure.calibration import calibrate
from semenet.evaluation.split_evaluation import evaluate
from semenet.inference.scoring import scoring_function, temper_graph
from semenet.models.layers.heads import ClassifierHead
from semenet.serving.exports.saved_model import export
from semenet.serving.prediction.any_network import predict
from semenet.serving.prediction.network_predictions import predict_arrays
from semenet.storage.atomic import OutputError
from semenet.storage.hashing import file_sha256
from semenet.training.loop.fit import train
from semenet.training.recipe import Recipe
from semenet.training.run_folder.file_names import calibration_file
from semenet.training.run_folder.record import RunFolderError
from semenet.training.run_folder.run import Run

SIDE = 32
CLASSES = ["normal", "bacteria", "virus"]
PLANTED = 2.5


def logits_of(grey, scale=1.0):
    """Returns the logits of the network below for an image of one grey level."""
    return scale * np.stack([np.zeros_like(grey), 6 * grey - 2, 12 * grey - 7], axis=-1)


def brightness_classifier(scale=PLANTED, activation="softmax"):
    """Returns a classifier of known logits: those above, times `scale`."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(1, 1, name="conv")(x)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    outputs = ClassifierHead(CLASSES, activation=activation, name="head")(x)
    model = keras.Model(image, outputs, name="brightness")
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)])
    model.get_layer("head").set_weights([np.float32([[0, 6, 12]]) * scale, np.float32([0, -2, -7]) * scale])
    return model


def drawn_labels(greys, generator):
    """Draws labels with the softmax probabilities of the logits, so that temperature 1 is right."""
    shares = np.exp(logits_of(greys))
    shares /= shares.sum(axis=1, keepdims=True)
    return (shares.cumsum(axis=1) < generator.random((len(greys), 1))).sum(axis=1).clip(0, 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A manifest of 300 uniform images in val, six in train and six in test; two per patient."""
    folder = tmp_path_factory.mktemp("greys")
    generator = np.random.default_rng(0)
    greys = generator.integers(2, 256, 312)
    labels = np.array(CLASSES)[drawn_labels(greys / 255, generator)]
    for number, grey in enumerate(greys):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((SIDE, SIDE), grey, np.uint8))
    frame = pd.DataFrame({"file": [f"{number}.png" for number in range(312)], "label": labels})
    frame["patient"] = [f"p{number // 2}" for number in range(312)]
    frame["split"] = ["val"] * 300 + ["train"] * 6 + ["test"] * 6
    frame.to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "brightness.keras"
    brightness_classifier().save(path)
    return path


@pytest.fixture
def run_folder(classifier_run, tmp_path):
    """A copy of the tiny run, so that other tests do not see the changes."""
    return shutil.copytree(classifier_run, tmp_path / "run")


def write_calibration(path, temperature):
    """Writes a calibration with this temperature, as `calibrate` does."""
    file = path / "model.keras" if path.is_dir() else path
    content = {
        "temperature": temperature,
        "model_sha256": file_sha256(file),
        "split": "val",
        "count": 8,
        "manifest_sha256": "0",
        "operating_points": {"normal": {"sensitivity": {"target": 0.9, "threshold": 0.25}}},
        "abstain": {"target_accuracy": 0.95, "confidence": 0.75, "coverage": 0.5, "accuracy": 1.0},
    }
    calibration_file(path).write_text(json.dumps(content))


def test_a_known_temperature_is_recovered(run, data):
    result = calibrate(run, data)
    file = run.with_name("brightness.calibration.json")
    assert json.loads(file.read_text()) == result
    assert result["temperature"] == pytest.approx(PLANTED, rel=0.2)
    assert result["at_bound"] is False
    assert (result["count"], result["patients"], result["split"]) == (300, 150, "val")
    assert result["manifest_sha256"] == read_manifest(data).sha256
    assert result["warnings"] == []
    assert result["command"] == (
        f"semenet calibrate {run} --manifest {data} --split val --batch-size 16"
        " --sensitivity 0.9 --specificity 0.9 --accuracy 0.95"
    )
    assert result["versions"]["keras"] == keras.__version__
    for name in ("nll", "ece"):
        assert result["after"][name] < result["before"][name]


def test_metrics_are_those_of_the_calibrated_logits(run, data):
    result = calibrate(run, data, sensitivity=0.8, specificity=0.7, accuracy=0.8)
    rows = read_manifest(data).split("val")
    true = np.array([CLASSES.index(label) for label in rows["label"]])
    greys = np.array([cv2.imread(path, cv2.IMREAD_GRAYSCALE)[0, 0] for path in rows["path"]]) / 255
    for moment, temperature in (("before", 1), ("after", result["temperature"])):
        shares = np.exp(logits_of(greys, PLANTED / temperature))
        shares /= shares.sum(axis=1, keepdims=True)
        expected = {
            "nll": -np.log(shares[np.arange(300), true]).mean(),
            "brier": ((shares - np.eye(3)[true]) ** 2).sum(axis=1).mean(),
        }
        given = {name: result[moment][name] for name in expected}
        assert given == pytest.approx(expected, rel=1e-4)
        assert result[moment]["ece"] == pytest.approx(
            metrics.expected_calibration_error(true, shares), abs=1e-5
        )
    for index, name in enumerate(CLASSES):
        for target, wanted in (("sensitivity", 0.8), ("specificity", 0.7)):
            point = result["operating_points"][name][target]
            assert point["target"] == wanted
            assert wanted <= point[target] < wanted + 0.05
            said = shares[:, index] >= point["threshold"] - 1e-6
            assert point["sensitivity"] == pytest.approx(said[true == index].mean())
            assert point["specificity"] == pytest.approx((~said[true != index]).mean())
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == true
    reached = [value for value in confidence if right[confidence >= value].mean() >= 0.8]
    answered = confidence >= min(reached)
    assert 0.1 < answered.mean() < 0.9
    assert result["abstain"] == pytest.approx(
        {
            "target_accuracy": 0.8,
            "confidence": min(reached),
            "coverage": answered.mean(),
            "accuracy": right[answered].mean(),
        }
    )


def test_an_earlier_calibration_has_no_influence(run, data):
    first = calibrate(run, data)
    assert calibrate(run, data) == first
    brightness_classifier(2 * PLANTED).save(run)
    second = calibrate(run, data)
    assert second["temperature"] == pytest.approx(2 * first["temperature"], rel=1e-3)


def test_a_sigmoid_head_is_calibrated_per_column(tmp_path, data):
    path = tmp_path / "sigmoid.keras"
    brightness_classifier(activation="sigmoid").save(path)
    plain = predict(path, [data.parent], gated=False)[CLASSES].to_numpy(float)
    result = calibrate(path, data)
    calibrated = predict(path, [data.parent], gated=False)[CLASSES].to_numpy(float)
    np.testing.assert_allclose(
        np.log(calibrated / (1 - calibrated)),
        np.log(plain / (1 - plain)) / result["temperature"],
        rtol=1e-3,
        atol=1e-3,
    )
    assert result["after"]["nll"] < result["before"]["nll"]


@pytest.mark.parametrize("split", ["test", "train", " Test"])
def test_train_and_test_splits_are_refused(run, data, split):
    with pytest.raises(SemenetError, match=f"validation images. Received: the split '{split}'.* as 'val'"):
        calibrate(run, data, split)
    assert not calibration_file(run).exists()


def test_segmentation_networks_and_invalid_targets_are_refused(tmp_path, run, data):
    import semenet

    path = tmp_path / "unet.keras"
    semenet.build("unet", input_shape=(32, 32, 1), width=0.0625).save(path)
    with pytest.raises(SemenetError, match=r"of a classifier. Received: .*unet\.keras, a segment"):
        calibrate(path, data)
    with pytest.raises(SemenetError, match="which is in memory. Save it first"):
        calibrate(brightness_classifier(), data)
    for target in ("sensitivity", "specificity", "accuracy"):
        with pytest.raises(SemenetError, match=f"The target {target} must be .* Received: 90"):
            calibrate(run, data, **{target: 90})
    calibration_file(run).mkdir()
    with pytest.raises(OutputError):
        calibrate(run, data)


def test_a_small_split_has_warnings(run, data, tmp_path):
    rows = pd.read_csv(data)
    rows["file"] = [str(data.parent / file) for file in rows["file"]]
    greys = np.array([cv2.imread(file, cv2.IMREAD_GRAYSCALE)[0, 0] for file in rows["file"]]) / 255
    rows["label"] = np.array(CLASSES)[logits_of(greys).argmax(axis=1)]
    rows["split"] = "tuning"
    few = rows[rows["label"] != "virus"][:60]
    few.to_csv(tmp_path / "few.csv", index=False)
    result = calibrate(run, tmp_path / "few.csv", "tuning")
    assert result["at_bound"] is True
    assert result["operating_points"]["virus"] == {"sensitivity": None, "specificity": None}
    small, bound, missing = result["warnings"]
    assert "60 images" in small
    assert "a bound of the search" in bound
    assert missing == "No threshold reaches the target for virus (sensitivity), virus (specificity)."
    few[few["label"] == "normal"].to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(SemenetError, match="two or more classes. Received: .* of only one class"):
        calibrate(run, tmp_path / "one.csv", "tuning")


def test_a_temperature_that_raises_the_calibration_error_is_told_and_not_applied(run, data, monkeypatch):
    usual = calibrate(run, data)
    assert "rejected" not in usual
    monkeypatch.setattr(
        metrics, "fit_temperature", lambda *_: {"temperature": 20.0, "at_bound": False}, raising=True
    )
    result = calibrate(run, data)
    assert result["temperature"] == 1.0
    assert result["after"] == result["before"] == usual["before"]
    assert result["rejected"]["temperature"] == 20.0
    assert result["rejected"]["ece"] > result["before"]["ece"]
    assert any("It is not applied: the temperature stays 1" in warning for warning in result["warnings"])
    assert Run.open(run).temperature == 1.0
    forced = calibrate(run, data, even_if_worse=True)
    assert forced["temperature"] == 20.0
    assert forced["after"]["ece"] == result["rejected"]["ece"]


def test_an_empty_split_name_and_a_diverged_network_are_refused(run, data, tmp_path):
    with pytest.raises(ManifestError, match=r"Received: ''. There are: .*val \(300 rows\)"):
        calibrate(run, data, "")
    model = brightness_classifier(scale=np.nan)
    model.save(tmp_path / "nan.keras")
    with pytest.raises(SemenetError, match="900 NaN among 900 values"):
        calibrate(tmp_path / "nan.keras", data)
    assert not list(tmp_path.glob("*calibration.json"))


def test_a_network_that_takes_lungs_alone_is_calibrated_on_them(tmp_path, data):
    """With masks that cover the whole image, the result is that of a network that takes whole images."""
    model = brightness_classifier()
    model.save(tmp_path / "whole.keras")
    model.get_layer("head").lungs_alone = True
    model.save(tmp_path / "alone.keras")
    with pytest.raises(SemenetError, match="Received: 300 of 300 images without a mask.*--lungs"):
        calibrate(tmp_path / "alone.keras", data)
    cv2.imwrite(str(tmp_path / "all.png"), np.full((SIDE, SIDE), 255, np.uint8))
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((SIDE, SIDE), np.uint8))
    rows = pd.read_csv(data)
    rows["file"] = [str(data.parent / file) for file in rows["file"]]
    found = {}
    for mask in ("all", "none"):
        rows.assign(mask=f"{mask}.png").to_csv(tmp_path / "manifest.csv", index=False)
        found[mask] = calibrate(tmp_path / "alone.keras", tmp_path / "manifest.csv")
    assert found["all"]["temperature"] == calibrate(tmp_path / "whole.keras", data)["temperature"]
    # All inputs are black and equal: no threshold separates them.
    assert found["none"]["operating_points"]["virus"]["specificity"] is None


def test_calibration_on_the_validation_split_of_the_run_has_a_warning(run_folder, phantoms):
    warnings = calibrate(run_folder, phantoms)["warnings"]
    assert any("best epoch was chosen on the split val too" in warning for warning in warnings)
    assert (run_folder / "calibration.json").is_file()
    assert Run.open(run_folder / "model.keras").temperature == Run.open(run_folder).temperature != 1


@pytest.mark.parametrize("tta", [1, 3])
def test_all_commands_return_the_same_calibrated_digits(run, data, tmp_path, tta):
    rows = read_manifest(data).split("val")
    plain = predict(run, rows["path"].tolist(), tta=tta, gated=False)
    result = calibrate(run, data)
    evaluated = evaluate(run, data, "val", out=tmp_path / "evaluation", tta=tta)
    predict(run, rows["path"].tolist(), tmp_path / "predictions.csv", tta=tta, gated=False)
    measured = pd.read_csv(tmp_path / "evaluation" / "predictions.csv", dtype=str)
    predicted = pd.read_csv(tmp_path / "predictions.csv", dtype=str)
    pd.testing.assert_frame_equal(measured[[*CLASSES, "predicted"]], predicted[[*CLASSES, "predicted"]])
    assert measured["predicted"].tolist() == plain["predicted"].tolist()
    expected = metrics.apply_temperature(plain[CLASSES].to_numpy(), result["temperature"])
    calibrated = measured[CLASSES].to_numpy(np.float32)
    np.testing.assert_allclose(calibrated, expected, rtol=1e-5)
    assert np.abs(calibrated - plain[CLASSES].to_numpy()).max() > 0.1
    if tta == 1:
        # The chosen operating points hold exactly for the served probabilities.
        for index, name in enumerate(CLASSES):
            for point in result["operating_points"][name].values():
                is_true = (rows["label"] == name).to_numpy()
                served = metrics.metrics_at_threshold(is_true, calibrated[:, index], point["threshold"])
                assert served.items() <= point.items()
        in_memory = predict_arrays(run, [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in rows["path"]])
        np.testing.assert_array_equal(in_memory, calibrated)
        assert evaluated["accuracy"] == pytest.approx((measured["predicted"] == rows["label"]).mean())


def test_uncalibrated_scores_are_the_network_outputs(run, data):
    write_calibration(run, PLANTED)
    opened = Run.open(run)
    (images,) = evaluation_dataset(
        read_manifest(data).split("test"), input_size=(SIDE, SIDE), batch_size=16
    ).take(1)
    plain, calibrated = (
        scoring_function(opened, calibrated=value)(images).numpy() for value in (False, True)
    )
    np.testing.assert_allclose(plain, opened.model.predict(images, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(calibrated, metrics.apply_temperature(plain, PLANTED), rtol=1e-5)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 2.5, 20.0])
def test_temperature_in_the_graph_equals_numpy(activation, temperature):
    logits = np.random.default_rng(0).normal(scale=4, size=(200, 3))
    probabilities = np.asarray(getattr(tf.nn, activation)(tf.constant(logits, tf.float32)))
    nearly = np.nextafter(np.float32(0.4), np.float32(1))
    edges = np.float32([[0, 0, 1], [0.4, nearly, 0.2], [nearly, 0.4, 0.2], [0.4, 0.4, 0.2], [1e-40, 1, 0]])
    # Vector instructions and their remainders take different code paths; ties are tested in both.
    probabilities = np.concatenate([probabilities, *[edges] * 5, edges[:1]])
    expected = metrics.apply_temperature(probabilities, temperature, activation)
    found = temper_graph(tf.constant(probabilities), temperature, activation).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-7)
    assert found.argmax(axis=1).tolist() == probabilities.argmax(axis=1).tolist()
    if temperature == 1:
        np.testing.assert_array_equal(found, probabilities)


def test_a_calibration_of_another_network_is_refused(run, data, tmp_path):
    calibrate(run, data)
    brightness_classifier(1.1).save(run)
    file = data.parent / "0.png"
    for use in (
        lambda: Run.open(run).temperature,
        lambda: evaluate(run, data, "val", out=tmp_path / "evaluation"),
        lambda: predict(run, [file]),
        lambda: predict_arrays(run, [np.zeros((9, 9), np.uint8)]),
        lambda: export(run, tmp_path / "saved"),
    ):
        with pytest.raises(RunFolderError, match="for. Received: .*Run `semenet calibrate` again, or"):
            use()
    assert not (tmp_path / "saved").exists()
    assert not any((tmp_path / "evaluation").glob("*"))
    calibrate(run, data)
    assert len(predict(run, [file])) == 1
    calibration_file(run).unlink()
    assert Run.open(run).temperature == 1.0


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"temperature": 0, "model_sha256": "", "operating_points": {}, "abstain": null}',
        b'{"temperature": NaN, "model_sha256": "", "operating_points": {}, "abstain": null}',
        b'{"temperature": 2, "model_sha256": "", "operating_points": [], "abstain": null}',
        b'{"temperature": 2, "model_sha256": "", "operating_points": {}, "abstain": 1}',
    ],
)
def test_a_damaged_calibration_is_refused(run, content):
    calibration_file(run).write_bytes(content)
    with pytest.raises(RunFolderError, match=r"complete JSON .* Received: .*brightness\.calibration\.json"):
        _ = Run.open(run).calibration


def test_a_resumed_run_ignores_the_calibration(run_folder, phantoms):
    calibrate(run_folder, phantoms)
    record = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps(record | {"status": "training"}))
    recipe = Recipe.from_json((run_folder / "recipe.json").read_text())
    assert train(recipe, phantoms, run_folder).record["status"] == "finished"
    assert (run_folder / "calibration.json").is_file()


def test_path_of_the_calibration_file(tmp_path, run_folder):
    assert calibration_file(run_folder) == run_folder / "calibration.json"
    assert calibration_file(run_folder / "model.keras") == run_folder / "calibration.json"
    (tmp_path / "model.keras").touch()
    alone = tmp_path / "model.calibration.json"
    assert calibration_file(tmp_path / "model.keras") == calibration_file(tmp_path) == alone
