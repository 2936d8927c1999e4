"""One set of published weights: its metadata.json, read and verified. This does not load Keras."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from semenet.models.weights.errors import MetadataError, WeightsError
from semenet.models.weights.metadata_schema import METADATA_SCHEMA
from semenet.models.weights.places import METADATA
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import JsonError, read_json

CACHE = "the cache"


@dataclasses.dataclass(frozen=True)
class PublishedSet:
    """One set of published weights.

    Attributes:
        folder: folder that holds its files.
        weights: name of the `.weights.h5` file, or of the `.weights.json` file of sharded weights; None
            where only metrics are published.
        files: dict of the name of every file to a dict of its `sha256` and its size in `bytes`.
        class_names: the classes, in the order of the outputs.
        input_shape: `(height, width, channels)` of the images in training.
        activation: "softmax" or "sigmoid".
        imagenet_scaling: whether the weights started from those of keras.applications, which need its input
            scaling.
        inference_clahe: whether images get CLAHE before the network.
        lungs_alone: whether everything outside the lungs is made black before the network.
        lung_view: dict of the head's settings `lungs_box`, `lungs_box_margin` and `standardize`, as far as
            they differ from the defaults.
        architecture: dict of the architecture arguments of `semenet.build`, such as `width`.
        metadata: dict, the whole metadata.json.
        origin: where the folder comes from, such as "the checkout" or "the cache"; None where this machine
            has only the description of the set.
    """

    folder: Path
    weights: str | None
    files: dict[str, dict[str, Any]]
    class_names: tuple[str, ...]
    input_shape: tuple[int | None, int | None, int]
    activation: str
    imagenet_scaling: bool
    inference_clahe: bool
    lungs_alone: bool
    lung_view: dict[str, Any]
    architecture: dict[str, Any]
    metadata: dict[str, Any] = dataclasses.field(repr=False)
    origin: str | None = None

    @property
    def path(self) -> Path:
        """Path of the file that Keras loads."""
        return self.folder / self.weights

    @property
    def entry(self) -> str:
        """Name of the network in the catalogue: the name of the parent folder."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """Name of the weights: the name of the folder."""
        return self.folder.name

    @property
    def label(self) -> str:
        """`ENTRY:NAME`, as commands accept it."""
        return f"{self.entry}:{self.name}"

    @property
    def size(self) -> int:
        """Size of all its files in bytes, without metadata.json and the card."""
        return sum(file["bytes"] for file in self.files.values())

    @property
    def sha256(self) -> str:
        """One hash of the names and the hashes of all its files."""
        lines = "\n".join(f"{file['sha256']}  {name}" for name, file in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def read_published(path: Path, origin: str | None = None) -> PublishedSet:
    """Reads a metadata.json.

    Args:
        path: path of the file.
        origin: where its folder comes from; None if it only describes the set.

    Raises:
        MetadataError: as `published_sets`.
    """
    try:
        metadata = read_json(path, METADATA_SCHEMA)
        network, files = metadata["network"], metadata["files"]
        weights = [] if metadata["weights"] is None else [metadata["weights"]]
        if wrong := [name for name in weights if name not in files]:
            raise JsonError(f"weights names {wrong[0]!r}, which is not among the files")
        return PublishedSet(
            folder=path.parent,
            weights=metadata["weights"],
            files={name: {key: file[key] for key in ("sha256", "bytes")} for name, file in files.items()},
            class_names=tuple(network["class_names"]),
            input_shape=tuple(network["input_shape"]),
            activation=network["activation"],
            imagenet_scaling=network["imagenet_scaling"],
            inference_clahe=network["inference_clahe"],
            lungs_alone=network["lungs_alone"],
            lung_view=dict(network.get("lung_view", {})),
            architecture=dict(network["architecture"]),
            metadata=metadata,
            origin=origin,
        )
    except (OSError, JsonError) as error:
        raise MetadataError(
            f"{METADATA} must be JSON that describes a network and lists plain files of its own folder with "
            f"their sha256 and bytes. Received: {path}: {error}. Fix the file or remove its folder."
        ) from error


def verify_files(published: PublishedSet) -> None:
    """Checks that the files of published weights are those that their metadata describe.

    Raises:
        WeightsError: a file is missing, or has another hash.
    """
    again = "Copy the folder again from where it came from."
    if published.origin == CACHE:
        again = f"Run `semenet weights get {published.label}` to fetch it again."
    for name, expected in published.files.items():
        path = published.folder / name
        if not path.is_file():
            raise WeightsError(
                "Published weights must have all the files that their metadata.json lists. "
                f"Received: {published.folder} without {name}. {again}"
            )
        digest = file_sha256(path)
        if digest != expected["sha256"]:
            raise WeightsError(
                f"Published weights must have the hash of their metadata.json. Received: {path} "
                f"with sha256 {digest}, expected {expected['sha256']}. {again}"
            )
