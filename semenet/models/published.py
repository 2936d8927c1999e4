"""Finds published weights by their metadata. Reads JSON alone: listing them loads no Keras."""

import dataclasses
import json
import os
import pathlib

from semenet.errors import SemenetError

METADATA = "metadata.json"


class MetadataError(SemenetError):
    """A metadata.json of the zoo cannot be read, or lacks a key."""


@dataclasses.dataclass(frozen=True)
class Published:
    """One set of published weights.

    Attributes:
        path: the `.weights.h5` file.
        sha256: its hash.
        class_names: the classes, in the order of the outputs.
        input_shape: `(height, width, channels)` they were trained at.
        imagenet_scaling: whether they go back to keras.applications' and want that input scaling.
    """

    path: pathlib.Path
    sha256: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    imagenet_scaling: bool


def zoo_folders():
    """Folders that may hold published weights: `SEMENET_ZOO`, then the checkout's `zoo`."""
    folders = [pathlib.Path(__file__).parents[2] / "zoo"]
    if os.environ.get("SEMENET_ZOO"):
        folders.insert(0, pathlib.Path(os.environ["SEMENET_ZOO"]))
    return [folder for folder in folders if folder.is_dir()]


def published(entry_name):
    """The published weights of an entry, from `<zoo>/<entry>/<name>/metadata.json`.

    Returns:
        dict of name to `Published`.

    Raises:
        MetadataError: if a metadata.json is no JSON or lacks `file, sha256, class_names, input_shape` or
            `imagenet_scaling`.
    """
    found = {}
    for folder in reversed(zoo_folders()):
        for path in sorted(folder.glob(f"{entry_name}/*/{METADATA}")):
            try:
                metadata = json.loads(path.read_text(encoding="utf-8"))
                found[path.parent.name] = Published(
                    path.parent / metadata["file"],
                    metadata["sha256"],
                    tuple(metadata["class_names"]),
                    tuple(metadata["input_shape"]),
                    metadata["imagenet_scaling"],
                )
            except (json.JSONDecodeError, KeyError) as error:
                raise MetadataError(
                    f"{METADATA} must be JSON with file, sha256, class_names, input_shape, imagenet_scaling. "
                    f"Received: {path}: {error!r}. Mend the file or remove its folder."
                ) from error
    return found
