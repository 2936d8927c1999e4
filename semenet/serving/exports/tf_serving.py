"""Folders for TensorFlow Serving: numbered versions of a model, and the server's configuration."""

import importlib.resources
import pathlib
import re
from collections.abc import Callable

from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.serving.exports.saved_model import export
from semenet.storage.atomic import output_folder, write_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CONFIG = """\
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
"""
_FILES = ("batching.config", "compose.yaml")


def export_for_tf_serving(
    path: pathlib.Path | str,
    folder: pathlib.Path | str,
    name: str,
    progress: Callable[[str, int, int | None], None] = lambda step, done, total: None,
    lungs: pathlib.Path | str | None = None,
    maps: MapChoice = DEFAULT_MAPS,
) -> pathlib.Path:
    """Exports a run or a cascade as the next version of a model for TensorFlow Serving.

    Writes `<name>/<version>/`, the SavedModel with its warm-up requests, where the version is one above the
    highest in the folder, so that a running server loads it; and `models.config`, which lists every model of
    the folder. Writes `batching.config` and `compose.yaml` too if they do not exist; you may edit them.

    Args:
        path: run folder, `.keras` file, `ENTRY:NAME` of published weights, or a cascade's folder.
        folder: folder of models, new or from earlier exports.
        name: the model's name on the server: letters, digits, `_`, `.` and `-`.
        progress: called with a step's name, the number done and the total.
        lungs: as for `export`.
        maps: the method and the layer of the heat maps, as for `export`.

    Returns:
        The SavedModel's folder.

    Raises:
        SemenetError: the server cannot use the name.
        OutputError: the folder cannot be written.
        WeightsError, CascadeError, RunFolderError: as for `export`.

    Example:
        >>> from semenet.serving import export_for_tf_serving
        >>> export_for_tf_serving("run", "models", "../chest")
        Traceback (most recent call last):
        ...
        semenet.errors.SemenetError: A model's name has letters, digits, ... Received: '../chest'. ...
    """
    if not _NAME.fullmatch(name):
        raise SemenetError(
            "A model's name has letters, digits, '_', '.' and '-', and begins with a letter or digit. "
            f"Received: {name!r}. Give a name that can be a folder and part of an address."
        )
    folder = output_folder(folder)
    versions = [int(path.name) for path in (folder / name).glob("*") if _is_version(path)]
    saved = export(path, folder / name / str(max(versions, default=0) + 1), progress, lungs, maps)
    names = sorted(path.name for path in folder.iterdir() if _is_model(path))
    configs = "".join(_CONFIG.format(name=model) for model in names)
    write_text(folder / "models.config", f"model_config_list {{\n{configs}}}\n")
    for file in _FILES:
        if not (folder / file).exists():
            text = importlib.resources.files(__package__).joinpath("templates", file).read_text("utf-8")
            write_text(folder / file, text)
    return saved


def _is_model(folder: pathlib.Path) -> bool:
    return any(_is_version(file.parent) for file in folder.glob("*/saved_model.pb"))


def _is_version(folder: pathlib.Path) -> bool:
    # "²".isdigit() is true.
    return folder.name.isascii() and folder.name.isdigit()
