"""A set of published weights as small as a test wants it, written by hand."""

import json

from semenet.storage.hashing import file_sha256


def write_set(zoo, model, entry, name, **network):
    """Writes zoo/<entry>/<name> with the weights of a model; returns the folder."""
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


def write_metadata(folder, metadata):
    (folder / "metadata.json").write_text(json.dumps(metadata))


def read_metadata(folder):
    return json.loads((folder / "metadata.json").read_text())
