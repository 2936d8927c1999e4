"""The JSON files of a run folder: the record of its training, and its calibration."""

import importlib.metadata
import os
import pathlib
import platform
from typing import Any

import pandas as pd

from semenet.errors import SemenetError
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import TEXTS, JsonError, object_schema, read_bytes, read_json
from semenet.training.recipe import Recipe, RecipeError
from semenet.training.run_folder.file_names import RECIPE, RECORD, calibration_file, model_file

PACKAGES = ("semenet", "keras", "tensorflow", "numpy", "opencv-python-headless", "scikit-learn")

# Hashes are compared: any other text is of another network or manifest.
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
# A published set has no status; a run of an earlier version may have no more than these.
RECORD_SCHEMA = object_schema(
    {"status": {"type": "string"}, "manifest_sha256": _TEXT},
    {
        "best": {"type": ["number", "null"]},
        "best_epoch": {"type": ["integer", "null"], "minimum": 1},
        "manifest": {"type": "string"},
        "images": {"type": "object", "additionalProperties": _COUNT},
        "command": {"type": "string"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "devices": TEXTS,
        "starts": {"type": "array", "items": {"type": "object"}},
        "skipped": {"type": "array", "items": object_schema({"file": {"type": "string"}})},
    },
) | {
    "if": {"properties": {"status": {"const": "finished"}}},
    "then": {"required": ["best", "best_epoch"]},
}
_OPERATING_POINT = {
    "anyOf": [
        {"type": "null"},
        object_schema({"threshold": {"type": "number"}}, {"target": _SHARE, "count": _COUNT}),
    ]
}
CALIBRATION_SCHEMA = object_schema(
    {
        "temperature": {"type": "number", "exclusiveMinimum": 0},
        "model_sha256": _TEXT,
        "manifest_sha256": _TEXT,
        "split": {"type": "string"},
        "count": _COUNT,
        "operating_points": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": _OPERATING_POINT},
        },
        "abstain": {
            "anyOf": [{"type": "null"}, object_schema({"target_accuracy": _SHARE, "confidence": _SHARE})]
        },
    },
    {"patients": _COUNT, "at_bound": {"type": "boolean"}, "warnings": TEXTS},
)


class RunFolderError(SemenetError):
    """A run folder that cannot be used: it belongs to another run, holds other files, or is damaged."""


def read_recipe(path: str | os.PathLike) -> Recipe:
    """Reads a recipe.json.

    Args:
        path: the file.

    Raises:
        RecipeError: the file cannot be read, or is not a recipe of this version. The message names the file.
    """
    try:
        return Recipe.from_json(read_bytes(path))
    except (OSError, SemenetError) as error:
        raise RecipeError(f"{path}: {error}") from error


def read_record(folder: str | os.PathLike) -> dict[str, Any]:
    """Reads run.json of a run folder.

    Args:
        folder: the run folder.

    Returns:
        Its content, with `status` and `manifest_sha256`, and `best` and `best_epoch` if the run is finished.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    path = pathlib.Path(folder) / RECORD
    try:
        return read_json(path, RECORD_SCHEMA)
    except (OSError, JsonError) as error:
        raise RunFolderError(
            f"A run folder with {RECIPE} must also hold a complete {RECORD}. Received: {path}: {error}. "
            "Train again in another folder."
        ) from error


def read_history(path: str | os.PathLike) -> pd.DataFrame:
    """Reads history.csv of a run folder.

    Args:
        path: the file.

    Returns:
        One row per epoch.

    Raises:
        RunFolderError: the file is damaged.
    """
    try:
        history = pd.read_csv(path)
        if "epoch" not in history:
            raise ValueError("there is no column epoch")
        if not isinstance(history.index, pd.RangeIndex):
            raise ValueError("a row has more values than there are columns")
        numbers = history.apply(pd.to_numeric)
    except (OSError, ValueError, TypeError, OverflowError, pd.errors.ParserError) as error:
        raise RunFolderError(
            "The history of a run must be a table of numbers with the column epoch. "
            f"Received: {path}: {error}. Delete the file, or train again in another folder."
        ) from error
    return numbers


def read_calibration(path: str | os.PathLike) -> dict[str, Any] | None:
    """Reads the calibration that `semenet.evaluation.measure.calibration.calibrate` wrote for a network.

    Args:
        path: a run folder, or a `.keras` file.

    Returns:
        The content of its calibration.json; None where there is no such file.

    Raises:
        RunFolderError: the file is damaged, or the network has changed since.
    """
    file = calibration_file(path)
    if not file.exists():
        return None
    try:
        calibration = read_json(file, CALIBRATION_SCHEMA)
    except (OSError, JsonError) as error:
        raise RunFolderError(
            "A calibration must be complete JSON with a temperature above 0, model_sha256, operating_points "
            f"and abstain. Received: {file}: {error}. Run `semenet calibrate` again, or delete the file; "
            "without it the temperature is 1, and the network never abstains."
        ) from error
    if calibration["model_sha256"] != file_sha256(model_file(path)):
        raise RunFolderError(
            f"A calibration is valid only for the network it was computed for. Received: {file}, but "
            f"{model_file(path).name} has changed since, for example because its training was resumed. "
            "Run `semenet calibrate` again, or delete the file."
        )
    return calibration


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that influence results."""
    packages = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | packages
