import importlib.metadata
import json
import pathlib
import subprocess
import sys

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from hand_made_networks import brightness_network, calibrate_by_hand, threshold_unet
from maintainers_tools import run_tool

import semenet
from semenet.cli.main import main
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.exports import runtime_formats
from semenet.serving.exports.runtime_formats import ExportError, export_format
from semenet.serving.exports.runtimes import open_exported
from semenet.serving.prediction.network_predictions import predict_arrays
from semenet.storage.atomic import OutputError

FORMATS = {"onnx": "model.onnx", "openvino": "model.xml", "litert": "model.tflite"}
SMALL = {"width": 0.125, "depth": 0.01}
CLASSES = ("normal", "bacteria", "virus")
TOOLS = pathlib.Path(__file__).parents[3] / "tools"


def chests(count, size=64):
    return [draw_radiograph("virus", size=size, seed=seed).image for seed in range(count)]


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A network with a temperature other than 1."""
    file = tmp_path_factory.mktemp("calibrated") / "one.keras"
    brightness_network(file, CLASSES, [0.0, 0.01, 0.02])
    calibrate_by_hand(file, 2.0)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["vgg19", "seme_resnet50", "seme_densenet169", "unet"])
def test_every_kind_of_network_has_keras_probabilities_in_every_runtime(entry, tmp_path):
    """Both heads, all backbones and squeeze-and-excitation: the other entries have no further layers."""
    model = semenet.build(entry, input_shape=(64, 64, 1), **SMALL)
    model.save(tmp_path / "model.keras")
    images = np.stack([prepare_image(image, (64, 64)) for image in chests(3, 96)])
    expected = np.asarray(model(images.astype("float32"), training=False))
    for format, name in FORMATS.items():
        folder = export_format(tmp_path / "model.keras", tmp_path / format, format)
        found = open_exported(folder / name)
        np.testing.assert_allclose(found(images), expected, atol=1e-5, err_msg=format)
        np.testing.assert_allclose(found(images[:1]), expected[:1], atol=1e-5, err_msg=format)
        assert json.loads((folder / "semenet.json").read_text())["largest_difference_from_keras"] < 1e-4


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_includes_the_temperature_and_is_described(calibrated, format, tmp_path):
    folder = export_format(calibrated, tmp_path / "out", format)
    images = chests(3, 96)
    prepared = np.stack([prepare_image(image, (48, 40)) for image in images])
    found = open_exported(folder / FORMATS[format])(prepared)
    np.testing.assert_allclose(found, predict_arrays(calibrated, images), atol=1e-5)
    logits = np.array([0.0, 0.01, 0.02]) * prepared.mean(axis=(1, 2, 3))[:, np.newaxis] / 2
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)
    description = json.loads((folder / "semenet.json").read_text())
    assert description["input"] == {
        "name": "images",
        "dtype": "uint8",
        "shape": [None, 48, 40, 1],
        "range": [0, 255],
        "prepared": "8-bit grey, stretched to 48 x 40 as semenet.data.transforms.host.resize does",
    }
    assert description["output"] == {"name": "probabilities", "dtype": "float32", "shape": [None, 3]}
    assert (description["file"], description["temperature"], description["class_names"]) == (
        FORMATS[format],
        2.0,
        list(CLASSES),
    )
    assert description["converters"]
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_int8_is_written_calibrated_and_measured(format, phantoms, classifier_run, tmp_path):
    """Exports by the command, and runs tools/bench/int8_loss.py on the manifest's val split."""
    command = ["export", str(classifier_run), str(tmp_path / "out"), "--format", format]
    main([*command, "--int8", "--calibration", str(phantoms)])
    description = json.loads((tmp_path / "out" / "semenet.json").read_text())
    suffix = pathlib.Path(FORMATS[format]).suffix
    assert description["int8"]["file"] == f"model_int8{suffix}"
    assert 0 < description["int8"]["calibration_images"] <= 200
    weights = [".bin" if format == "openvino" else suffix]
    sizes = [(tmp_path / "out" / f"{name}{weights[0]}").stat().st_size for name in ("model", "model_int8")]
    assert sizes[1] < sizes[0]
    options = ("--manifest", phantoms, "--resamples", 200, "--out", tmp_path / "loss.csv")
    result = run_tool("bench/int8_loss.py", classifier_run, tmp_path / "out", *options)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(tmp_path / "loss.csv").set_index("figure")
    assert table.loc["accuracy", "difference"] == pytest.approx(
        table.loc["accuracy", "int8"] - table.loc["accuracy", "float32"], abs=1e-4
    )


@pytest.mark.slow
def test_int8_masks_are_nearly_equal_to_float32(unet_run, phantoms, tmp_path):
    folder = export_format(unet_run, tmp_path / "out", "openvino", int8=True, calibration=phantoms)
    images = np.stack([prepare_image(image, (32, 32)) for image in chests(4)])
    float32, int8 = (open_exported(folder / name)(images) for name in ("model.xml", "model_int8.xml"))
    assert float32.shape == (4, 32, 32, 1)
    assert 0 < np.abs(float32 - int8).mean() < 0.1


@pytest.mark.slow
def test_an_int8_network_that_its_runtime_refuses_is_removed(classifier_run, phantoms, tmp_path, monkeypatch):
    def fail_on_int8(file, threads=None):
        if "int8" in file.name:
            raise RuntimeError("failed to create XNNPACK runtime\nNode 3 failed to prepare.")
        return open_exported(file, threads)

    monkeypatch.setattr(runtime_formats, "open_exported", fail_on_int8)
    with pytest.raises(ExportError, match=r"as litert, which fails \(failed to create XNNPACK runtime\)"):
        export_format(classifier_run, tmp_path / "out", "litert", int8=True, calibration=phantoms)
    assert not list(tmp_path.iterdir())


def test_a_network_that_differs_from_keras_is_removed(calibrated, tmp_path, monkeypatch):
    def open_wrong(file, threads=None):
        opened = open_exported(file, threads)
        return lambda images: opened(images) + np.float32(0.001)

    monkeypatch.setattr(runtime_formats, "open_exported", open_wrong)
    with pytest.raises(
        ExportError, match=r"to 0.0001. Received: .*one.keras as litert, a difference of 0.001"
    ):
        export_format(calibrated, tmp_path / "out", "litert")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_refused_before_the_export(calibrated, tmp_path):
    cases = [
        ({"format": "caffe"}, "one of onnx, openvino, litert. Received: 'caffe'"),
        ({"format": "onnx", "int8": True}, "Give both --int8 and --calibration"),
        ({"format": "onnx", "calibration": tmp_path}, "Give both --int8 and --calibration"),
    ]
    for arguments, message in cases:
        with pytest.raises(SemenetError, match=message):
            export_format(calibrated, tmp_path / "out", **arguments)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="new or an empty folder"):
        export_format(calibrated, tmp_path / "full", "onnx")
    assert (tmp_path / "full" / "mine.txt").read_text() == "x"


def test_a_cascade_can_only_be_a_savedmodel(calibrated, tmp_path):
    two = brightness_network(tmp_path / "two.keras", ("a", "b"), [0.0, 0.1], alone=True)
    saved = Cascade(calibrated, threshold_unet(tmp_path / "unet.keras"), two).save(tmp_path / "cascade")
    with pytest.raises(SemenetError, match="other formats hold one network. Received: .*cascade as onnx"):
        export_format(saved, tmp_path / "out", "onnx")


def test_a_missing_package_is_reported_with_the_command_that_installs_it(calibrated, tmp_path, monkeypatch):
    version = importlib.metadata.version

    def without(package):
        if package == "openvino":
            raise importlib.metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(importlib.metadata, "version", without)
    with pytest.raises(SemenetError, match=r"pip install 'semenet\[openvino\]'"):
        export_format(calibrated, tmp_path / "out", "openvino")


def test_a_savedmodel_has_no_int8_and_other_formats_no_tf_serving(calibrated, tmp_path, capsys):
    for words, message in (
        (["--int8"], "computes in float32"),
        (["--format", "onnx", "--tf-serving", "x"], "TensorFlow Serving serves a SavedModel"),
    ):
        with pytest.raises(SystemExit):
            main(["export", str(calibrated), str(tmp_path / "out"), *words])
        assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_network_trained_in_half_precision_is_exported_in_float32(tmp_path):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = semenet.build("se_resnet50", input_shape=(64, 64, 1), **SMALL)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    model.save(tmp_path / "half.keras")
    folder = export_format(tmp_path / "half.keras", tmp_path / "out", "onnx")
    images = np.stack([prepare_image(image, (64, 64)) for image in chests(3, 96)])
    expected = np.asarray(model(images.astype("float32"), training=False), "float32")
    np.testing.assert_allclose(open_exported(folder / "model.onnx")(images), expected, atol=5e-3)


@pytest.mark.slow
def test_the_benchmark_runs_on_a_small_network(tmp_path):
    tool = [sys.executable, TOOLS / "bench" / "serving.py", "--entries", "seme_resnet50", "--size", "64"]
    tool += ["--batches", "1", "--rounds", "2", "--width", "0.125", "--depth", "0.01", "--no-timm"]
    tool += ["--no-int8", "--runtimes", "keras", "savedmodel", "openvino", "--out", tmp_path / "bench.csv"]
    result = subprocess.run([str(word) for word in tool], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(tmp_path / "bench.csv")
    assert set(table["runtime"]) == {"keras", "savedmodel", "openvino"}


def test_the_test_images_are_of_several_kinds():
    images = runtime_formats.probe_images((40, 56), 3)
    assert images.shape == (4, 40, 56, 3)
    assert len({image.tobytes() for image in images}) == 4
    assert cv2.countNonZero(images[3][..., 0]) == 0
