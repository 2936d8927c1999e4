"""Verifies every set of published weights: schema, files, hashes, reference output, card.

The reference output is computed on TensorFlow and JAX. For a set without weights only the schema and the card
are checked.

Usage: python tools/zoo/verify.py [--zoo zoo]

Prints one line for each set and exits with status 1 at the first error.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Literal

import jsonschema
import keras
import numpy as np
import tyro
from golden import digest, golden_input, golden_output
from protocol import check_protocol

from semenet.cli.recipe import report_errors
from semenet.errors import SemenetError
from semenet.evaluation.report.zoo_card import render_zoo_card
from semenet.models.catalog import build
from semenet.models.entries import CATALOG
from semenet.models.weights import published as published_weights
from semenet.models.weights.described_set import read_published, verify_files
from semenet.models.weights.fetching import INDEX
from semenet.models.weights.places import METADATA
from semenet.models.weights.sources import PublishedWeights
from semenet.storage.hashing import file_sha256

SCHEMA = pathlib.Path(published_weights.__file__).with_name("zoo.schema.json")
MOST_MEGABYTES = 120
CARD = "card.md"


class ZooError(SemenetError):
    """A set of published weights does not match its description."""


def main(arguments=None):
    """Verifies a zoo."""
    with report_errors():
        tyro.cli(verify_zoo, args=arguments, description=__doc__)


def verify_zoo(
    zoo: pathlib.Path = pathlib.Path("zoo"),
    backends: tuple[Literal["tensorflow", "jax"], ...] = ("tensorflow", "jax"),
    index: pathlib.Path = INDEX,
) -> None:
    """Verifies every entry of a zoo.

    Args:
        zoo: Folder of the zoo.
        backends: Keras backends that compute the reference outputs.
        index: JSON file of the package with the hash of each metadata.json.
    """
    hashes = json.loads(index.read_text(encoding="utf-8"))
    folders = sorted(path.parent for path in zoo.glob(f"*/*/{METADATA}"))
    found = {f"{path.parent.name}/{path.name}" for path in folders if not _is_figures_alone(path)}
    if found != set(hashes):
        raise ZooError(
            f"The index must list the sets of the zoo. Received: {sorted(found ^ set(hashes))}, in only one "
            f"of {zoo} and {index}. Publish them with tools/zoo/publish.py."
        )
    size = sum(path.stat().st_size for path in zoo.rglob("*") if path.is_file()) / 1e6
    if size > MOST_MEGABYTES:
        raise ZooError(f"The zoo may have at most {MOST_MEGABYTES} MB. Received: {zoo} with {size:.1f} MB.")
    keys = {f"{folder.parent.name}/{folder.name}": folder for folder in folders}
    for key in sorted(set(keys) - set(hashes)):
        verify_entry(keys[key], metadata_sha256=None)
        print(f"{key}: card only")
    changes = {name: verify_on(name, [(keys[key], hashes[key]) for key in hashes]) for name in backends}
    for number, key in enumerate(hashes):
        print(f"{key}: " + ", ".join(f"{name} within {found[number]:.1e}" for name, found in changes.items()))
    print(f"{len(hashes)} sets of weights and {len(folders) - len(hashes)} cards verified, {size:.1f} MB")


def verify_on(backend, sets):
    """Runs `verify_entry` on a Keras backend, in another process if this one uses another backend.

    Args:
        backend: str, name of the backend.
        sets: list of (folder, metadata_sha256), the arguments of `verify_entry`.

    Returns:
        list of float, the largest difference from the reference output for each set.
    """
    if backend == keras.backend.backend() or not sets:
        return [verify_entry(folder, metadata_sha256) for folder, metadata_sha256 in sets]
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, __file__, "sets", *(str(argument) for one in sets for argument in one)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode != 0:
        raise ZooError(f"On {backend}: {ended.stderr.strip()}")
    return [float(word) for word in ended.stdout.split()[-len(sets) :]]


def verify_entry(folder, metadata_sha256):
    """Verifies one set of weights on this process's backend.

    Args:
        folder: pathlib.Path, `<zoo>/<entry>/<name>`, or a folder that will be moved there.
        metadata_sha256: str, the hash in the package's index; None for a set that is not in it yet.

    Returns:
        float, the largest difference from the reference output; None for a set without weights.

    Raises:
        SemenetError: a check failed; the message names it.
    """
    path = folder / METADATA
    metadata = json.loads(path.read_text(encoding="utf-8"))
    if metadata_sha256 is not None and file_sha256(path) != metadata_sha256:
        raise ZooError(
            f"The hash of metadata.json must match the package's index. Received: {path} with "
            f"{file_sha256(path)}, expected {metadata_sha256}. Publish again with tools/zoo/publish.py."
        )
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    errors = sorted(validator.iter_errors(metadata), key=str)
    if errors:
        raise ZooError(
            f"{METADATA} must follow {SCHEMA.name}. "
            f"Received: {path}, {errors[0].json_path}: {errors[0].message}"
        )
    if metadata["entry"] not in CATALOG or metadata["training"]["recipe"]["entry"] != metadata["entry"]:
        raise ZooError(f"The entry, and the entry of its recipe, must be in the zoo. Received: {path}.")
    check_protocol(metadata, path)
    here = {file.name for file in folder.iterdir()} - {METADATA, CARD}
    if here != set(metadata["files"]):
        raise ZooError(f"{METADATA} must list every file. Received: {path}; {here ^ set(metadata['files'])}.")
    if render_zoo_card(metadata) != (folder / CARD).read_text(encoding="utf-8"):
        raise ZooError(
            f"The card must equal the rendered metadata. Received: {folder / CARD}, which differs."
        )
    published = read_published(path)
    if published.weights is None:
        return None
    verify_files(published)
    return _golden_difference(metadata, published)


def _is_figures_alone(folder):
    return read_published(folder / METADATA).weights is None


def _golden_difference(metadata, published):
    drawn = metadata["golden"]["input"]
    images = golden_input(published, drawn["labels"], drawn["seed"])
    if digest(images) != drawn["sha256"]:
        raise ZooError(
            "The reference input must be reproduced exactly. Received: a different input for "
            f"{published.folder}. The generation or preparation of images has changed; check whether that "
            "is intended."
        )
    with _zeros_as_initial_kernels():
        model = build(
            metadata["entry"],
            classes=published.class_names,
            input_shape=published.input_shape,
            activation=published.activation,
            **published.architecture,
        )
    PublishedWeights(metadata["entry"], published).load_into(model)
    with np.load(published.folder / metadata["golden"]["file"], allow_pickle=False) as golden:
        difference = float(np.abs(golden_output(model, images) - golden["output"]).max())
    if not difference <= metadata["golden"]["tolerance"]:
        raise ZooError(
            f"The output may differ from the reference by at most {metadata['golden']['tolerance']}. "
            f"Received: {published.folder}, which differs by {difference} on {keras.backend.backend()}."
        )
    return difference


@contextlib.contextmanager
def _zeros_as_initial_kernels():
    """Builds networks without random kernels: the published ones replace them.

    JAX would compile a random generator for each of some hundred shapes.
    """
    initializer = keras.initializers.VarianceScaling
    random = initializer.__call__
    initializer.__call__ = lambda self, shape, dtype=None: np.zeros(shape, dtype)
    try:
        yield
    finally:
        initializer.__call__ = random


def _verify_sets(arguments):
    """Prints the difference for each set, of which `arguments` has folder and hash in turn."""
    with report_errors():
        for folder, metadata_sha256 in zip(arguments[::2], arguments[1::2], strict=True):
            print(verify_entry(pathlib.Path(folder), metadata_sha256))


if __name__ == "__main__":
    if sys.argv[1:2] == ["sets"]:
        _verify_sets(sys.argv[2:])
    else:
        main()
