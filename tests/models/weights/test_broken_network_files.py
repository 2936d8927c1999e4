"""Broken files of networks from strangers: each is refused in one error that names the file."""

import json
import zipfile

import keras
import pytest
from broken_files import broken_texts, broken_values, check_refused, rewritten_archive

import semenet
from semenet.models.weights.errors import MetadataError, WeightsError
from semenet.models.weights.keras_files import load_keras_file
from semenet.models.weights.published import read_published

HASH = "0123456789abcdef" * 4
METADATA = {
    "network": {
        "class_names": ["a", "b"],
        "input_shape": [32, None, 1],
        "activation": "softmax",
        "imagenet_scaling": False,
        "inference_clahe": False,
        "lungs_alone": False,
        "lung_view": {"lungs_box": True, "lungs_box_margin": 0.1},
        "architecture": {"width": 0.125},
    },
    "weights": "a.weights.h5",
    "files": {"a.weights.h5": {"sha256": HASH, "bytes": 12}},
    "calibration": {"temperature": 1.5, "operating_points": {}, "abstain": None},
}
NETWORK = {
    **dict.fromkeys(("class_names", "input_shape", "activation"), ()),
    **dict.fromkeys(("imagenet_scaling", "inference_clahe", "lungs_alone"), (bool,)),
    "architecture": (dict,),
    "lung_view": (dict, "optional"),
}
PLACES = {
    ("network",): (),
    ("weights",): (None,),
    ("files",): (),
    ("files", "a.weights.h5", "sha256"): (),
    ("files", "a.weights.h5", "bytes"): (),
    ("calibration",): (None,),
    ("calibration", "temperature"): (float,),
    ("network", "lung_view", "lungs_box"): (bool, "optional"),
    ("network", "lung_view", "lungs_box_margin"): (float, "optional"),
    ("network", "architecture", "width"): ("optional", float, str, None),
} | {("network", key): valid for key, valid in NETWORK.items()}


def changed(**network):
    return json.dumps(METADATA | {"network": METADATA["network"] | network}).encode()


def test_a_broken_metadata_json_is_refused(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(METADATA))
    assert read_published(path).class_names == ("a", "b")
    far = {"../a.weights.h5": METADATA["files"]["a.weights.h5"]}
    cases = [
        *broken_texts(json.dumps(METADATA)),
        *broken_values(METADATA, PLACES),
        ("huge sides", changed(input_shape=[10**9, 10**9, 1])),
        ("seven channels", changed(input_shape=[32, 32, 7])),
        ("equal classes", changed(class_names=["a", "a"])),
        ("letters", changed(class_names="abc")),
        ("a huge width", changed(architecture={"width": 1e9})),
        ("another setting", changed(lung_view={"kernel": 1})),
        ("another folder", json.dumps(METADATA | {"files": far, "weights": "../a.weights.h5"}).encode()),
        ("another file", json.dumps(METADATA | {"weights": "b.weights.h5"}).encode()),
    ]
    assert len(cases) > 100
    check_refused(path, cases, lambda: read_published(path), MetadataError)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A tiny network's `.keras` file."""
    file = tmp_path_factory.mktemp("network") / "whole.keras"
    model = semenet.build("vgg19_gap", classes=("a", "b"), input_shape=(32, 32, 1), width=0.05, depth=0.01)
    model.save(file)
    return file


def configuration(network):
    with zipfile.ZipFile(network) as archive:
        return json.loads(archive.read("config.json"))


def layer(config, kind):
    return next(layer["config"] for layer in config["config"]["layers"] if layer["class_name"] == kind)


ABSENT = {"class_name": "Absent", "module": "absent", "registered_name": None}
CODE = {"class_name": "system", "module": "os", "registered_name": None, "config": {"command": "true"}}
CHANGES = {
    "wide": lambda config: layer(config, "Conv2D").update(filters=10**9),
    "no filters": lambda config: layer(config, "Conv2D").update(filters=0),
    "large windows": lambda config: layer(config, "Conv2D").update(kernel_size=[10**6, 10**6]),
    "far steps": lambda config: layer(config, "Conv2D").update(strides=[10**6, 1]),
    "huge images": lambda config: layer(config, "InputLayer").update(batch_shape=[None, 10**9, 10**9, 1]),
    "letters": lambda config: layer(config, "ClassifierHead").update(class_names="ab"),
    "no classes": lambda config: layer(config, "ClassifierHead").update(class_names=[]),
    "numbers": lambda config: layer(config, "ClassifierHead").update(class_names=[1, 2]),
    "more classes": lambda config: layer(config, "ClassifierHead").update(class_names=["a", "b", "c"]),
    "a word": lambda config: layer(config, "ClassifierHead").update(inference_clahe="no"),
    "no layers": lambda config: config["config"].pop("layers"),
    "a number of layers": lambda config: config["config"].update(layers=3),
    "an unknown class": lambda config: config.update(ABSENT),
    "code": lambda config: config.update(CODE),
    "no input": lambda config: config["config"]["layers"].pop(0),
    "a loop": lambda config: config["config"]["layers"][1].update(name=config["config"]["layers"][2]["name"]),
}


def refused(file):
    with pytest.raises(WeightsError) as error:
        load_keras_file(file)
    assert str(file) in str(error.value)
    assert len(str(error.value)) < 1200


@pytest.mark.parametrize("name", CHANGES)
def test_another_configuration_is_refused(network, tmp_path, name):
    config = configuration(network)
    CHANGES[name](config)
    refused(rewritten_archive(network, tmp_path / "a.keras", {"config.json": json.dumps(config).encode()}))


def test_a_broken_configuration_is_refused(network, tmp_path):
    valid = json.dumps(configuration(network))
    for name, contents in broken_texts(valid):
        refused(rewritten_archive(network, tmp_path / f"{name}.keras", {"config.json": contents}))


def test_a_broken_archive_is_refused(network, tmp_path):
    whole = network.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.keras").write_bytes(whole[:length])
        refused(tmp_path / "cut.keras")
    (tmp_path / "changed.keras").write_bytes(whole[:200] + bytes(64) + whole[264:])
    refused(tmp_path / "changed.keras")
    for part in ("config.json", "model.weights.h5"):
        refused(rewritten_archive(network, tmp_path / "a.keras", {part: None}))
    refused(rewritten_archive(network, tmp_path / "a.keras", {"model.weights.h5": b"no HDF5"}))


def test_a_configuration_that_grows_on_unpacking_is_refused_unread(network, tmp_path):
    """0.2 MB that become 200 MB."""
    archive = rewritten_archive(network, tmp_path / "a.keras", {"config.json": b" " * 200_000_000})
    assert archive.stat().st_size < 2_000_000
    refused(archive)


def test_the_whole_file_is_read(network):
    assert isinstance(load_keras_file(network), keras.Model)
