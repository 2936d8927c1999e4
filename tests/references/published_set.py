"""Writes small sets of published weights for tests."""

import json
import pathlib
from typing import TYPE_CHECKING, Any

from semenet.storage.hashing import file_sha256

if TYPE_CHECKING:
    import keras


def write_set(zoo: pathlib.Path, model: "keras.Model", entry: str, name: str, **network: Any) -> pathlib.Path:
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


def write_plain_set(zoo: pathlib.Path, entry: str, name: str, **metadata: Any) -> pathlib.Path:
    """Writes zoo/<entry>/<name> with two files that are no weights, and returns the folder.

    Finding, fetching and copying sets does not read the weights. `metadata` replaces values of metadata.json.
    """
    folder = zoo / entry / name
    folder.mkdir(parents=True)
    (folder / "a.weights.h5").write_bytes(f"weights of {name}".encode() * 1000)
    (folder / "golden.npz").write_bytes(f"output of {name}".encode())
    (folder / "card.md").write_text(f"# {entry}: {name}\n")
    files = {
        path.name: {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in folder.iterdir()
        if path.name != "card.md"
    }
    network = {
        "class_names": ["a", "b"],
        "input_shape": [32, 32, 1],
        "activation": "softmax",
        "imagenet_scaling": False,
        "inference_clahe": False,
        "lungs_alone": False,
        "architecture": {},
        "parameters": 1234,
    }
    measured = {"split": "val", "count": 9, "figures": {"macro_auroc": {"value": 0.9, "interval": [0.8, 1]}}}
    described = {
        "entry": entry,
        "name": name,
        "summary": "Tells a | from b.",
        "license": "CC BY 4.0",
        "data": {
            "sources": [{"name": "images of one hospital"}],
            "splits": {"train": {"images": 1200, "patients": 30}},
        },
        "network": network,
        "metrics": {"validation": measured, "held_out": [], "other_hospitals": []},
        "weights": "a.weights.h5",
        "files": files,
    }
    write_metadata(folder, described | metadata)
    return folder


def write_index(path: pathlib.Path, *folders: pathlib.Path) -> pathlib.Path:
    """Writes the index of a package that was published with the sets in these folders."""
    keys = {f"{folder.parent.name}/{folder.name}": folder for folder in folders}
    path.write_text(json.dumps({key: file_sha256(folder / "metadata.json") for key, folder in keys.items()}))
    return path


def write_metadata(folder: pathlib.Path, metadata: dict[str, Any]) -> None:
    (folder / "metadata.json").write_text(json.dumps(metadata))


def read_metadata(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads((folder / "metadata.json").read_text())
