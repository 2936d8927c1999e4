"""Writes small sets of published weights for tests."""

import json
import pathlib
from typing import Any

import keras

from semenet.storage.hashing import file_sha256


def write_set(zoo: pathlib.Path, model: keras.Model, entry: str, name: str, **network: Any) -> pathlib.Path:
    """Writes zoo/<entry>/<name> with the weights of a model, and returns the folder.

    `network` replaces values of `network` in metadata.json.
    """
    folder = zoo / entry / name
    folder.mkdir(parents=True)
    file = folder / "a.weights.h5"
    model.save_weights(file)
    described = {
        "class_names": list(model.class_names),
        "input_shape": list(model.input_shape[1:]),
        "activation": model.get_layer("head").activation.__name__,
        "imagenet_scaling": False,
        "inference_clahe": False,
        "lungs_alone": False,
        "architecture": {},
    }
    metadata = {
        "network": described | network,
        "weights": file.name,
        "files": {file.name: {"sha256": file_sha256(file), "bytes": file.stat().st_size}},
    }
    write_metadata(folder, metadata)
    return folder


def write_metadata(folder: pathlib.Path, metadata: dict[str, Any]) -> None:
    (folder / "metadata.json").write_text(json.dumps(metadata))


def read_metadata(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads((folder / "metadata.json").read_text())
