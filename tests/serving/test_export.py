import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

import semenet
from semenet.errors import SemenetError
from semenet.serving.export import ExportError, export
from semenet.serving.predict import predict
from semenet.training.fit import train
from semenet.training.run import sha256_of

SERVE_WITHOUT_KERAS = """
import json, sys
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answer = served(image_bytes=tf.constant([open(file, "rb").read() for file in sys.argv[2:]]))
assert "semenet" not in sys.modules
print(json.dumps({name: value.numpy().tolist() if value.dtype != tf.string
                  else value.numpy().astype(str).tolist() for name, value in answer.items()}))
"""


@pytest.fixture(scope="module")
def files(phantoms, tmp_path_factory):
    """Images of several sizes and formats."""
    folder = tmp_path_factory.mktemp("mixed")
    images = sorted((phantoms.parent / "images").glob("*.png"))[:3]
    grey = cv2.imread(str(images[0]), cv2.IMREAD_GRAYSCALE)
    large = cv2.resize(grey, (301, 173))
    written = {
        "large.png": large,
        "large.jpg": large,
        "colour.jpg": cv2.applyColorMap(large, cv2.COLORMAP_BONE),
        "colour.png": cv2.applyColorMap(large, cv2.COLORMAP_JET),
        "small.png": cv2.resize(grey, (20, 33)),
    }
    for name, image in written.items():
        assert cv2.imwrite(str(folder / name), image)
    return [*images, *(folder / name for name in written)]


@pytest.fixture(scope="module")
def saved_model(classifier_run, tmp_path_factory):
    return export(classifier_run, tmp_path_factory.mktemp("exports") / "savedmodel")


@pytest.mark.slow
def test_a_script_with_tensorflow_alone_gets_python_s_results(saved_model, classifier_run, files, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", SERVE_WITHOUT_KERAS, saved_model, *files],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    frame = predict(classifier_run, files)
    np.testing.assert_allclose(answer["probabilities"], frame[["normal", "bacteria", "virus"]], atol=1e-5)
    assert answer["class_names"] == [["normal", "bacteria", "virus"]] * len(files)


@pytest.mark.slow
def test_saved_model_cli_shows_the_signature(saved_model):
    tool = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    result = subprocess.run([tool, "show", "--dir", saved_model, "--all"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for expected in ("serving_default", "image_bytes", "DT_STRING", "probabilities", "class_names"):
        assert expected in result.stdout


@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_prepares_images_with_clahe_as_python_does(phantoms, tiny_recipe, files, tmp_path, channels):
    recipe = tiny_recipe("vgg19_gap", inference_clahe=True, channels=channels, epochs=1)
    run = train(recipe, phantoms, tmp_path / "run")
    served = tf.saved_model.load(str(export(run.path, tmp_path / "saved"))).signatures["serving_default"]
    answer = served(image_bytes=tf.constant([file.read_bytes() for file in files]))
    frame = predict(run.path, files)
    np.testing.assert_allclose(answer["probabilities"], frame[list(run.class_names)], atol=1e-5)


def write_calibration(run, temperature):
    """calibration.json of a run folder."""
    calibration = {
        "temperature": temperature,
        "model_sha256": sha256_of(run / "model.keras"),
        "split": "val",
        "count": 8,
        "manifest_sha256": "0",
        "operating_points": {"virus": {"sensitivity": {"target": 0.9, "threshold": 0.25}}},
        "abstain": {"target_accuracy": 0.95, "confidence": 0.75, "coverage": 0.5, "accuracy": 1.0},
    }
    (run / "calibration.json").write_text(json.dumps(calibration))
    return calibration


def test_serves_calibrated_probabilities_and_the_decisions_that_go_with_them(classifier_run, files, tmp_path):
    run = shutil.copytree(classifier_run, tmp_path / "run")
    plain = predict(run, files)
    calibration = write_calibration(run, 2.5)
    frame = predict(run, files)
    saved = export(run, tmp_path / "saved")
    served = tf.saved_model.load(str(saved)).signatures["serving_default"]
    answer = served(image_bytes=tf.constant([file.read_bytes() for file in files]))
    classes = ["normal", "bacteria", "virus"]
    np.testing.assert_allclose(answer["probabilities"], frame[classes], atol=1e-6)
    assert np.abs(answer["probabilities"] - plain[classes].to_numpy()).max() > 0.01
    powers = plain[classes].to_numpy(float) ** (1 / 2.5)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert frame["predicted"].tolist() == plain["predicted"].tolist()
    description = json.loads((saved / "assets.extra" / "semenet.json").read_text())
    for name in ("temperature", "operating_points", "abstain"):
        assert description[name] == calibration[name]


@pytest.mark.slow
def test_a_unet_serves_masks(unet_run, files, tmp_path):
    served = tf.saved_model.load(str(export(unet_run, tmp_path / "saved"))).signatures["serving_default"]
    answer = served(image_bytes=tf.constant([files[0].read_bytes()]))
    assert answer["probabilities"].shape == (1, 32, 32, 1)


def test_metadata_says_what_the_network_is(saved_model):
    description = json.loads((saved_model / "assets.extra" / "semenet.json").read_text())
    assert description["class_names"] == ["normal", "bacteria", "virus"]
    assert description["input_size"] == [32, 32]
    assert "Research use only" in description["use"]
    assert description["temperature"] == 1.0
    assert description["operating_points"] is description["abstain"] is None


def test_a_network_that_is_fed_lungs_alone_is_not_exported_without_a_finder(classifier_run, tmp_path):
    model = semenet.load_model(classifier_run)
    model.get_layer("head").lungs_alone = True
    model.save(tmp_path / "alone.keras")
    with pytest.raises(
        SemenetError, match=r"cannot find lungs.*Received: .*alone.keras.*semenet predict --lungs"
    ):
        export(tmp_path / "alone.keras", tmp_path / "out" / "saved")
    assert not list(tmp_path.glob("out/*"))


def test_never_overwrites(classifier_run, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ExportError, match="new or an empty folder. Received"):
        export(classifier_run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
