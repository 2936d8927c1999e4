import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
from saved_operations import foreign_operations

import semenet
from semenet.data.images.colour import is_coloured
from semenet.data.images.reading import read_image
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.heat_maps.class_activation import grad_cam
from semenet.inference.heat_maps.map_choice import MapChoice, heat_map
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.exports.saved_model import export
from semenet.serving.prediction.any_network import predict
from semenet.storage.atomic import OutputError
from semenet.storage.hashing import file_sha256

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
    """Image files of several sizes and formats."""
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
def test_a_script_with_only_tensorflow_gets_the_results_of_predict(
    saved_model, classifier_run, files, tmp_path
):
    result = subprocess.run(
        [sys.executable, "-c", SERVE_WITHOUT_KERAS, saved_model, *files],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    frame = predict(classifier_run, files, gated=False)
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
def test_images_are_prepared_with_clahe_as_in_python(files, tmp_path, channels):
    path = tmp_path / "model.keras"
    model = semenet.build("vgg19_gap", input_shape=(32, 32, channels), width=0.125, depth=0.01)
    model.save(path)
    plain = predict(path, files, gated=False)[list(model.class_names)]
    model.get_layer("head").inference_clahe = True
    model.save(path)
    answer = served(export(path, tmp_path / "saved"))(image_bytes=contents(files))
    expected = predict(path, files, gated=False)[list(model.class_names)]
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert np.abs(expected - plain).to_numpy().max() > 1e-3


def write_calibration(run, temperature):
    """Writes calibration.json of a run folder."""
    calibration = {
        "temperature": temperature,
        "model_sha256": file_sha256(run / "model.keras"),
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
    plain = predict(run, files, gated=False)
    calibration = write_calibration(run, 2.5)
    frame = predict(run, files, gated=False)
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


@functools.lru_cache(maxsize=2)
def load(path):
    return tf.saved_model.load(path)


def served(path, name="serving_default"):
    """Returns a signature as a function of its inputs to a dict of arrays and lists of str."""
    # The signature works only as long as its model exists.
    model = load(str(path))

    def call(**inputs):
        answer = model.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        return {
            key: value.numpy().astype(str).tolist()
            if value.dtype == tf.string and not key.endswith("_bytes")
            else value.numpy()
            for key, value in answer.items()
        }

    return call


def contents(files):
    return [file.read_bytes() for file in files]


def test_an_item_that_cannot_be_decoded_gets_a_code_and_does_not_affect_the_others(
    saved_model, classifier_run, files
):
    good = contents(files[:5])
    call = served(saved_model)
    alone = call(image_bytes=good)
    assert alone["error_code"].tolist() == [0] * 5
    mixed = [b"", good[0], b"no image", good[1][:100], good[3], good[4][:90], good[4] * 0]
    answer = call(image_bytes=mixed)
    assert answer["error_code"].tolist() == [1, 0, 1, 1, 0, 1, 1]
    assert answer["predicted"] == [
        "error",
        alone["predicted"][0],
        *["error"] * 2,
        alone["predicted"][3],
        *["error"] * 2,
    ]
    np.testing.assert_allclose(answer["probabilities"][[1, 4]], alone["probabilities"][[0, 3]], atol=1e-6)
    assert not answer["probabilities"][[0, 2, 3, 5, 6]].any()
    nothing = call(image_bytes=[b"x"])
    assert nothing["error_code"].tolist() == [1]
    assert nothing["class_names"] == [["normal", "bacteria", "virus"]]
    # Later calls are not affected.
    np.testing.assert_array_equal(call(image_bytes=good)["probabilities"], alone["probabilities"])


def test_every_output_has_the_batch_first(saved_model, files):
    for name in ("serving_default", "explain", "embed"):
        answer = served(saved_model, name)(image_bytes=contents(files[:3]))
        assert all(len(value) == 3 for value in answer.values())


def test_heat_maps_equal_grad_cam_and_pixels_are_accepted(saved_model, classifier_run, files):
    model = semenet.load_model(classifier_run)
    greys = [read_image(file) for file in files]
    prepared = np.stack([prepare_image(grey, (32, 32)) for grey in greys])
    answer = served(saved_model, "explain")(image_bytes=contents(files))
    np.testing.assert_allclose(answer["heat_map"], grad_cam(model, prepared), atol=1e-5)
    by_pixels = served(saved_model, "predict_pixels")
    for number, grey in enumerate(greys):
        found = by_pixels(pixels=grey[np.newaxis])["probabilities"][0]
        np.testing.assert_allclose(found, answer["probabilities"][number], atol=1e-6)


def test_the_signature_embed_equals_embeddings_in_python(saved_model, classifier_run, phantoms):
    rows = semenet.read_manifest(phantoms).rows[:3]
    table = semenet.embed(classifier_run, phantoms)
    expected = table[[name for name in table if name[1:].isdigit()]].to_numpy()[:3]
    images = [*(pathlib.Path(path).read_bytes() for path in rows["path"]), b"no image"]
    answer = served(saved_model, "embed")(image_bytes=images)
    assert answer["error_code"].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(answer["embedding"][:3], expected, rtol=1e-4, atol=1e-5)
    assert not answer["embedding"][3].any()
    assert "probabilities" not in answer


@pytest.mark.parametrize(
    ("maps", "name"),
    [
        (MapChoice("layer_cam", 8), "seme_resnet50"),
        (MapChoice("hires-cam", 16), "seme_densenet169"),
        pytest.param(MapChoice("hires-cam", "block3_conv1"), "vgg19", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_computed_in_the_exported_graph(files, tmp_path, maps, name):
    """Of networks that are folded for inference, and of a flatten head."""
    model = semenet.build(name, input_shape=(64, 64, 1), width=0.125, depth=0.01)
    model.save(tmp_path / "model.keras")
    folder = export(tmp_path / "model.keras", tmp_path / "saved", maps=maps)
    images = np.stack([prepare_image(read_image(file), (64, 64)) for file in files])
    expected = heat_map(model, images, method=maps.method, layer=maps.layer)
    assert expected.any()
    answer = served(folder, "explain")(image_bytes=contents(files))
    np.testing.assert_allclose(answer["heat_map"], expected, atol=1e-3)
    description = json.loads((folder / "assets.extra" / "semenet.json").read_text())
    assert description["heat_map"]["method"] == maps.method.replace("_", "-")
    assert description["heat_map"]["layer"] in [layer.name for layer in model.layers]


def test_an_unknown_map_layer_is_told(classifier_run, tmp_path):
    with pytest.raises(SemenetError, match="Received: 'featrues'.*Did you mean features"):
        export(classifier_run, tmp_path / "saved", maps=MapChoice("layer-cam", "featrues"))
    assert not (tmp_path / "saved" / "saved_model.pb").exists()


@pytest.fixture(scope="module")
def cascade(classifier_run, unet_run, tmp_path_factory):
    """A cascade of tiny networks, its folder, and its SavedModel."""
    folder = tmp_path_factory.mktemp("cascade")
    stage2 = semenet.build(
        "seme_densenet169",
        classes=("other_viral", "COVID-19"),
        input_shape=(40, 40, 3),
        width=0.125,
        depth=0.01,
    )
    stage2.get_layer("head").lungs_alone = True
    stage2.get_layer("head").inference_clahe = True
    stage2.save(folder / "two.keras")
    made = Cascade(classifier_run, unet_run, folder / "two.keras")
    saved = made.save(folder / "saved")
    return made, saved, export(saved, folder / "savedmodel")


@pytest.mark.slow
def test_the_graph_of_a_cascade_equals_python(cascade, files):
    made, _, exported = cascade
    assert foreign_operations(exported) == set()
    prepared = [made.prepare(read_image(file), is_coloured(file.read_bytes())) for file in files]
    expected = made.decide(prepared, explain=True)
    answer = served(exported, "explain")(image_bytes=[*contents(files), b"no image"])
    count = len(files)
    assert answer["class_names"] == [list(made.class_names)] * (count + 1)
    assert answer["error_code"].tolist() == [0] * count + [1]
    assert answer["predicted"] == [*expected.predicted, "error"]
    assert answer["reason"] == [*expected.reasons, "error"]
    assert answer["input_flags"] == [*(" ".join(flags) for flags in expected.input_flags), ""]
    assert "too_small" in answer["input_flags"]
    # Several codes of one image, of which the second is the gate network's.
    assert any(flags.startswith("colour_photograph ") for flags in answer["input_flags"]), answer[
        "input_flags"
    ]
    assert answer["lung_flags"] == [*(" ".join(flags) for flags in expected.lung_flags), ""]
    for name in ("probabilities", "stage1_probabilities", "stage2_probabilities"):
        np.testing.assert_allclose(answer[name][:count], getattr(expected, name), atol=1e-5)
        assert not answer[name][count].any()
    for stage in ("stage1", "stage2"):
        maps = getattr(expected, f"{stage}_heat_maps")
        np.testing.assert_allclose(answer[f"{stage}_heat_map"][:count], maps, atol=1e-4)
    for number, png in enumerate(answer["lung_mask_bytes"][:count]):
        mask = cv2.imdecode(np.frombuffer(png, "uint8"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask > 0, expected.lung_masks[number])
    plain = served(exported)(image_bytes=contents(files))
    np.testing.assert_allclose(plain["probabilities"], expected.probabilities, atol=1e-5)
    pixels = served(exported, "predict_pixels")(pixels=read_image(files[3])[np.newaxis])
    np.testing.assert_allclose(pixels["probabilities"], expected.probabilities[3:4], atol=1e-5)


@pytest.mark.slow
def test_the_description_of_a_cascade_lists_its_stages(cascade):
    made, _, exported = cascade
    description = json.loads((exported / "assets.extra" / "semenet.json").read_text())
    assert description["class_names"] == list(made.class_names)
    assert description["refines"] == "virus"
    assert description["stages"]["stage2"]["inference_clahe"]
    assert description["stages"]["lungs"]["network"] == "unet"
    assert description["error_codes"]["0"] == "none"


def test_the_description_of_a_network(saved_model):
    description = json.loads((saved_model / "assets.extra" / "semenet.json").read_text())
    assert description["class_names"] == ["normal", "bacteria", "virus"]
    assert description["input_size"] == [32, 32]
    assert "Research use only" in description["use"]
    assert description["temperature"] == 1.0
    assert description["operating_points"] is description["abstain"] is None
    assert description["heat_map"] == {"method": "cam", "layer": "features"}


def test_a_network_that_takes_lungs_alone_is_not_exported_without_a_u_net(classifier_run, tmp_path):
    model = semenet.load_model(classifier_run)
    model.get_layer("head").lungs_alone = True
    model.save(tmp_path / "alone.keras")
    with pytest.raises(
        SemenetError, match=r"cannot find lungs.*Received: .*alone.keras.*U-Net.s run with --lungs"
    ):
        export(tmp_path / "alone.keras", tmp_path / "out" / "saved")
    assert not list(tmp_path.glob("out/*"))


def test_existing_files_are_not_overwritten(classifier_run, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="new or an empty folder. Received"):
        export(classifier_run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_no_incomplete_model(classifier_run, tmp_path, monkeypatch):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "variables; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OutputError, match=r"saved \(No space left on device\). Free some disk space"):
        export(classifier_run, tmp_path / "saved")
    assert not list(tmp_path.iterdir())
