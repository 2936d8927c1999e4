"""Finds published weights by their metadata. Reads JSON alone: listing them loads no Keras."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re

from semenet.errors import SemenetError
from semenet.models.weights import fetching

METADATA = "metadata.json"
_FILE_NAME = re.compile(r"\w[\w.-]*")
_NEEDED = ("network", "weights", "files")


class MetadataError(SemenetError):
    """A metadata.json of the zoo cannot be read, or lacks a key."""


class NoWeightsError(SemenetError):
    """Of a network the zoo has figures, and no weights."""


@dataclasses.dataclass(frozen=True)
class Published:
    """One set of published weights.

    Attributes:
        folder: where its files lie.
        weights: name of the `.weights.h5` file, or of the `.weights.json` file of a sharded one; None
            where figures alone are published.
        files: dict of every file's name to a dict of its `sha256` and its size in `bytes`.
        class_names: the classes, in the order of the outputs.
        input_shape: `(height, width, channels)` they were trained at.
        activation: "softmax" or "sigmoid".
        imagenet_scaling: whether they go back to keras.applications' and want that input scaling.
        inference_clahe: whether the network is fed images after CLAHE.
        lungs_alone: whether the network is fed lungs alone, all else black.
        architecture: dict of the architecture arguments of `semenet.build`, `width` and the like.
        metadata: dict, the whole metadata.json.
    """

    folder: pathlib.Path
    weights: str | None
    files: dict
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    activation: str
    imagenet_scaling: bool
    inference_clahe: bool
    lungs_alone: bool
    architecture: dict
    metadata: dict = dataclasses.field(repr=False)

    @property
    def path(self):
        """`pathlib.Path` of the file that Keras loads."""
        return self.folder / self.weights

    @property
    def entry(self):
        """str, the network's name in the catalogue, as the folders have it."""
        return self.folder.parent.name

    @property
    def name(self):
        """str, the name of the weights, likewise."""
        return self.folder.name

    @property
    def sha256(self):
        """str, one hash of all its files' names and hashes."""
        listed = "\n".join(f"{of['sha256']}  {name}" for name, of in sorted(self.files.items()))
        return hashlib.sha256(listed.encode()).hexdigest()


def zoo_folders():
    """Folders that may hold published weights: `SEMENET_ZOO`, then the checkout's `zoo`."""
    folders = [pathlib.Path(__file__).parents[3] / "zoo"]
    if os.environ.get("SEMENET_ZOO"):
        folders.insert(0, pathlib.Path(os.environ["SEMENET_ZOO"]))
    return [folder for folder in folders if folder.is_dir()]


def published(entry_name):
    """What is published of an entry and lies on this machine, weights or figures alone.

    It lies in `<zoo>/<entry>/<name>/`, or was fetched into the cache before.

    Returns:
        dict of name to `Published`.

    Raises:
        MetadataError: if a metadata.json is no JSON, lacks a key, or names a file outside its folder.
    """
    paths = {path.parent.name: path for path in fetching.cached(entry_name)}
    for folder in reversed(zoo_folders()):
        found = sorted(folder.glob(f"{entry_name}/*/{METADATA}"))
        paths |= {path.parent.name: path for path in found}
    return {name: read_published(path) for name, path in sorted(paths.items())}


def published_names(entry_name):
    """Names of an entry's weights: those on this machine, and those that `SEMENET_ZOO_URL` would give."""
    here = {name for name, one in published(entry_name).items() if one.weights is not None}
    return sorted(here | set(fetching.offered(entry_name)))


def find_published(entry_name, name):
    """One set of published weights, fetched if it is not on this machine and `SEMENET_ZOO_URL` has it.

    Returns:
        `Published`, or None where there is no such name.

    Raises:
        MetadataError: as `published`.
        FetchError: it cannot be fetched, or what came is not what this version of semenet knows.
        NoWeightsError: of this name figures alone are published.
    """
    here = published(entry_name)
    if name in here:
        if here[name].weights is None:
            raise NoWeightsError(
                f"Weights are loaded where they are published. Received: {entry_name}:{name}, of which the "
                f"zoo has a card with figures alone: {here[name].folder / 'card.md'}. Train the network by "
                "the command that stands there."
            )
        return here[name]
    if name in fetching.offered(entry_name):
        return read_published(fetching.fetch(entry_name, name))
    return None


def read_published(path):
    """Reads a metadata.json.

    Args:
        path: pathlib.Path.

    Returns:
        `Published`.

    Raises:
        MetadataError: as `published`.
    """
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        if missing := [key for key in _NEEDED if key not in metadata]:
            raise KeyError(*missing)
        network, files = metadata["network"], metadata["files"]
        weights = [] if metadata["weights"] is None else [metadata["weights"]]
        wrong = [name for name in [*files, *weights] if not _FILE_NAME.fullmatch(name)]
        wrong += [name for name in weights if name not in files]
        if wrong:
            raise ValueError(f"the file name {wrong[0]!r}")
        return Published(
            folder=path.parent,
            weights=metadata["weights"],
            files={name: {"sha256": of["sha256"], "bytes": int(of["bytes"])} for name, of in files.items()},
            class_names=tuple(network["class_names"]),
            input_shape=tuple(network["input_shape"]),
            activation=network["activation"],
            imagenet_scaling=network["imagenet_scaling"],
            inference_clahe=network["inference_clahe"],
            lungs_alone=network["lungs_alone"],
            architecture=dict(network["architecture"]),
            metadata=metadata,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MetadataError(
            f"{METADATA} must be JSON that names, beside a network, plain files of its own folder with their "
            f"sha256 and bytes. Received: {path}: {error!r}. Mend the file or remove its folder."
        ) from error
