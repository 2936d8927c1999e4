"""Proves every set of published weights: schema, files, hashes, golden output on TensorFlow and JAX, card.

Where figures alone are published: schema and card.

Usage: python tools/zoo/verify.py [--zoo zoo]

Prints a line for each set and ends with status 1 at the first one that does not hold.
"""

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

from semenet.cli.recipe import report_errors
from semenet.errors import SemenetError
from semenet.evaluation.report.zoo_card import render_zoo_card
from semenet.models.catalog import build
from semenet.models.entries import CATALOG
from semenet.models.weights import published as published_weights
from semenet.models.weights.fetching import INDEX
from semenet.models.weights.published import METADATA, read_published
from semenet.models.weights.sources import PublishedWeights, verify_files
from semenet.storage.hashing import file_sha256

SCHEMA = pathlib.Path(published_weights.__file__).with_name("zoo.schema.json")
MOST_MEGABYTES = 120
CARD = "card.md"


class ZooError(SemenetError):
    """A set of published weights does not hold what it says."""


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
        zoo: Its folder.
        backends: Keras backends to compute the golden outputs on.
        index: JSON of the hashes of each metadata.json, as the package ships it.
    """
    hashes = json.loads(index.read_text(encoding="utf-8"))
    folders = sorted(path.parent for path in zoo.glob(f"*/*/{METADATA}"))
    found = {f"{path.parent.name}/{path.name}" for path in folders if not _is_figures_alone(path)}
    if found != set(hashes):
        raise ZooError(
            f"The index names the sets of the zoo. Received: {sorted(found ^ set(hashes))} in one of {zoo} "
            f"and {index} alone. Publish them by tools/zoo/publish.py."
        )
    size = sum(path.stat().st_size for path in zoo.rglob("*") if path.is_file()) / 1e6
    if size > MOST_MEGABYTES:
        raise ZooError(f"A zoo has {MOST_MEGABYTES} MB at most. Received: {zoo} with {size:.1f} MB.")
    for folder in folders:
        key = f"{folder.parent.name}/{folder.name}"
        if key not in hashes:
            verify_entry(folder, metadata_sha256=None)
            print(f"{key}: figures alone")
            continue
        changes = {}
        for backend in backends:
            changes[backend] = verify_on(backend, folder, hashes[key])
        print(f"{key}: " + ", ".join(f"{name} within {change:.1e}" for name, change in changes.items()))
    print(f"{len(hashes)} sets of weights hold, {len(folders) - len(hashes)} of figures, {size:.1f} MB")


def verify_on(backend, folder, metadata_sha256):
    """`verify_entry` on a Keras backend, in a process of its own where this one has another: float."""
    if backend == keras.backend.backend():
        return verify_entry(folder, metadata_sha256)
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, __file__, "entry", str(folder), metadata_sha256]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode != 0:
        raise ZooError(f"{folder} on {backend}: {ended.stderr.strip()}")
    return float(ended.stdout.split()[-1])


def verify_entry(folder, metadata_sha256):
    """Verifies one set of weights on this process's backend.

    Args:
        folder: pathlib.Path, `<zoo>/<entry>/<name>` or one that is to be moved there.
        metadata_sha256: str, as the package's index has it; None for a set that is not in it yet.

    Returns:
        float, the largest difference from the golden output; None where figures alone are published.

    Raises:
        SemenetError: it does not hold; the message says what.
    """
    path = folder / METADATA
    metadata = json.loads(path.read_text(encoding="utf-8"))
    if metadata_sha256 is not None and file_sha256(path) != metadata_sha256:
        raise ZooError(
            f"The package's index has the hash of each metadata.json. Received: {path} with "
            f"{file_sha256(path)}, expected {metadata_sha256}. Publish again by tools/zoo/publish.py."
        )
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    errors = sorted(validator.iter_errors(metadata), key=str)
    if errors:
        raise ZooError(
            f"{METADATA} follows {SCHEMA.name}. Received: {path}, {errors[0].json_path}: {errors[0].message}"
        )
    if metadata["entry"] not in CATALOG or metadata["training"]["recipe"]["entry"] != metadata["entry"]:
        raise ZooError(f"An entry is one of the catalogue, its recipe's too. Received: {path}.")
    here = {file.name for file in folder.iterdir()} - {METADATA, CARD}
    if here != set(metadata["files"]):
        raise ZooError(f"{METADATA} names every file. Received: {path}; {here ^ set(metadata['files'])}.")
    if render_zoo_card(metadata) != (folder / CARD).read_text(encoding="utf-8"):
        raise ZooError(f"A card is made from its metadata. Received: {folder / CARD}, which differs.")
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
            "The golden input is drawn anew, the same to the bit. Received: another for "
            f"{published.folder}. How images are drawn or prepared has changed: is that meant?"
        )
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
            f"A network gives its golden output to {metadata['golden']['tolerance']}. "
            f"Received: {published.folder}, {difference} away on {keras.backend.backend()}."
        )
    return difference


def _entry(arguments):
    folder, metadata_sha256 = arguments
    with report_errors():
        print(verify_entry(pathlib.Path(folder), metadata_sha256))


if __name__ == "__main__":
    if sys.argv[1:2] == ["entry"]:
        _entry(sys.argv[2:])
    else:
        main()
