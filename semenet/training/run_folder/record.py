"""The JSON files of a run folder: the record of its training, and its calibration."""

import importlib.metadata
import json
import math
import os
import pathlib
import platform
from typing import Any

from semenet.errors import SemenetError
from semenet.storage.hashing import file_sha256
from semenet.training.run_folder.file_names import RECIPE, RECORD, calibration_file, model_file

PACKAGES = ("semenet", "keras", "tensorflow", "numpy", "opencv-python-headless", "scikit-learn")


class RunFolderError(SemenetError):
    """A run folder that cannot be used: it belongs to another run, holds other files, or is damaged."""


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
        record = json.loads(path.read_text(encoding="utf-8"))
        needed = {"status", "manifest_sha256"}
        if record["status"] == "finished":
            needed |= {"best", "best_epoch"}
        if missing := needed - set(record):
            raise KeyError(*missing)
        return record
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"A run folder with {RECIPE} must also hold a complete {RECORD}. Received: {path}: {error}. "
            "Train again in another folder."
        ) from error


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
        calibration = json.loads(file.read_text(encoding="utf-8"))
        temperature, model_sha256 = float(calibration["temperature"]), calibration["model_sha256"]
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature {temperature}")
        if not isinstance(calibration["operating_points"], dict):
            raise TypeError("operating_points")
        if missing := {"split", "count", "manifest_sha256"} - set(calibration):
            raise KeyError(*sorted(missing))
        abstain = calibration["abstain"]
        if abstain is not None:
            shares = {name: abstain[name] for name in ("target_accuracy", "confidence")}
            # This also refuses NaN, with which the network would never abstain.
            if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for share in shares.values()):
                raise ValueError(f"abstain {shares}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            "A calibration must be complete JSON with a temperature above 0, model_sha256, operating_points "
            f"and abstain. Received: {file}: {error!r}. Run `semenet calibrate` again, or delete the file; "
            "without it the temperature is 1, and the network never abstains."
        ) from error
    if model_sha256 != file_sha256(model_file(path)):
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
