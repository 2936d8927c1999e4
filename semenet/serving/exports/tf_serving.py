"""A folder that TensorFlow Serving serves: numbered versions, and the files that configure the server."""

import importlib.resources
import re

from semenet.errors import SemenetError
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


def export_for_tf_serving(path, folder, name, progress=lambda step, done, total: None):
    """Exports a run or a cascade as the next version of a model that TensorFlow Serving serves.

    The folder gets `<name>/<version>/`, the SavedModel with its warm-up requests, the version one above the
    highest there, so that a running server takes it up; `models.config`, which lists every model of the
    folder; and, unless they are there, `batching.config` and `compose.yaml`, which are yours to change.

    Args:
        path: as for `semenet.serving.exports.saved_model.export`.
        folder: folder of models, new or of earlier exports.
        name: str, what the server calls the model: letters, digits, `_`, `.` and `-`.
        progress: as for `semenet.serving.exports.saved_model.export`.

    Returns:
        `pathlib.Path` of the SavedModel.

    Raises:
        ValueError: such a name a server cannot have.
        OutputError: the folder cannot be written.
        WeightsError, CascadeError, RunFolderError: as `semenet.serving.exports.saved_model.export`.
    """
    if not _NAME.fullmatch(name):
        raise SemenetError(
            "A model's name has letters, digits, '_', '.' and '-', and begins with a letter or digit. "
            f"Received: {name!r}. It becomes a folder and a part of the address."
        )
    folder = output_folder(folder)
    versions = [int(made.name) for made in (folder / name).glob("*") if _is_version(made)]
    saved = export(path, folder / name / str(max(versions, default=0) + 1), progress)
    names = sorted(made.name for made in folder.iterdir() if _is_model(made))
    configs = "".join(_CONFIG.format(name=model) for model in names)
    write_text(folder / "models.config", f"model_config_list {{\n{configs}}}\n")
    for file in _FILES:
        if not (folder / file).exists():
            text = importlib.resources.files(__package__).joinpath("templates", file).read_text("utf-8")
            write_text(folder / file, text)
    return saved


def _is_model(folder):
    return any(_is_version(file.parent) for file in folder.glob("*/saved_model.pb"))


def _is_version(folder):
    # "²" is a digit too.
    return folder.name.isascii() and folder.name.isdigit()
