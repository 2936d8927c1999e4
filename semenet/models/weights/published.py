"""Finds published weights by their metadata. It reads only JSON: listing the weights does not load Keras."""

import dataclasses
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from semenet.models.entries import CATALOG
from semenet.models.weights import fetching
from semenet.models.weights.errors import MetadataError, MissingWeightsError, NoWeightsError
from semenet.models.weights.metadata_schema import METADATA_SCHEMA
from semenet.storage.json_files import JsonError, read_json

METADATA = "metadata.json"


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
    def sha256(self) -> str:
        """One hash of the names and the hashes of all its files."""
        lines = "\n".join(f"{file['sha256']}  {name}" for name, file in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def zoo_folders() -> list[Path]:
    """Returns the folders that may hold published weights: `SEMENET_ZOO`, then the checkout's `zoo`."""
    folders = [Path(__file__).parents[3] / "zoo"]
    if os.environ.get("SEMENET_ZOO"):
        folders.insert(0, Path(os.environ["SEMENET_ZOO"]))
    return [folder for folder in folders if folder.is_dir()]


def published_sets(entry_name: str) -> dict[str, PublishedSet]:
    """Finds what is published for an entry and present on this machine, with weights or only with metrics.

    A set is in `<zoo>/<entry>/<name>/`, or was fetched into the cache before.

    Args:
        entry_name: name of the entry in the catalogue.

    Returns:
        dict of name to `PublishedSet`.

    Raises:
        MetadataError: a metadata.json is not JSON, has a missing key, or lists a file outside its folder.
    """
    paths = {path.parent.name: path for path in fetching.cached(entry_name)}
    for folder in reversed(zoo_folders()):
        found = sorted(folder.glob(f"{entry_name}/*/{METADATA}"))
        paths |= {path.parent.name: path for path in found}
    return {name: read_published(path) for name, path in sorted(paths.items())}


def published_names(entry_name: str) -> list[str]:
    """Lists the names of an entry's weights: on this machine, or available from `SEMENET_ZOO_URL`.

    Args:
        entry_name: name of the entry in the catalogue.

    Raises:
        MetadataError: as `published_sets`.

    Example:
        >>> from semenet.models import published_names
        >>> published_names("unet")
        ['lung']
    """
    local = {name for name, published in published_sets(entry_name).items() if published.weights is not None}
    return sorted(local | set(fetching.offered(entry_name)))


def parse_published_name(text: str | Path) -> tuple[str, str] | None:
    """Splits `ENTRY:NAME`, the name of published weights.

    Returns:
        `(entry, name)`; None if the text does not start with an entry of the catalogue and a colon.

    Example:
        >>> from semenet.models import parse_published_name
        >>> parse_published_name("unet:lung")
        ('unet', 'lung')
        >>> parse_published_name("runs/first") is None
        True
    """
    entry, colon, name = str(text).partition(":")
    return (entry, name) if colon and entry in CATALOG else None


def find_published(entry_name: str, name: str) -> PublishedSet | None:
    """Finds one set of published weights, and fetches it from `SEMENET_ZOO_URL` if it is not on this machine.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights.

    Returns:
        `PublishedSet`; None if there are no weights of this name.

    Raises:
        MetadataError: as `published_sets`.
        FetchError: the weights cannot be fetched, or differ from what this version of semenet expects.
        NoWeightsError: only metrics are published under this name.
    """
    local = published_sets(entry_name)
    if name in local:
        if local[name].weights is None:
            raise NoWeightsError(
                f"A network needs published weights to be loaded. Received: {entry_name}:{name}, for which "
                f"the zoo has only a card with metrics: {local[name].folder / 'card.md'}. Train the network "
                "with the command on that card."
            )
        return local[name]
    if name in fetching.offered(entry_name):
        return read_published(fetching.fetch(entry_name, name, report=_print_to_stderr))
    return None


def require_published(entry_name: str, name: str) -> PublishedSet:
    """Finds one set of published weights, as `find_published`, and raises an error if there is none.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights.

    Raises:
        MissingWeightsError: there are no weights of this name; the message lists the names there are.
        MetadataError: as `published_sets`.
        FetchError: as `find_published`.
        NoWeightsError: as `find_published`.
    """
    published = find_published(entry_name, name)
    if published is None:
        raise MissingWeightsError(
            "Published weights are given as ENTRY:NAME. "
            f"Received: {entry_name}:{name}. Names of `{entry_name}` here: "
            f"{', '.join(published_names(entry_name)) or 'none'}. Give one of them, or the path of a run; or "
            "set SEMENET_ZOO to the repository's folder zoo, or SEMENET_ZOO_URL to the address of a copy."
        )
    return published


def read_published(path: Path) -> PublishedSet:
    """Reads a metadata.json.

    Args:
        path: path of the file.

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
        )
    except (OSError, JsonError) as error:
        raise MetadataError(
            f"{METADATA} must be JSON that describes a network and lists plain files of its own folder with "
            f"their sha256 and bytes. Received: {path}: {error}. Fix the file or remove its folder."
        ) from error


def _print_to_stderr(message: str) -> None:
    print(message, file=sys.stderr)
