"""Names of the files in a run folder."""

import os
import pathlib

MODEL = "model.keras"
LAST_WEIGHTS = "last.weights.h5"
RECIPE = "recipe.json"
RECORD = "run.json"
HISTORY = "history.csv"
TIMINGS = "timings.csv"
CHECKPOINT = "checkpoints/last.npz"
CALIBRATION = "calibration.json"
TENSORBOARD = "tensorboard"
# Files that training replaces in one step: a killed process may leave a temporary file of each.
REPLACED = (MODEL, LAST_WEIGHTS, RECIPE, RECORD, HISTORY, TIMINGS)


def model_file(path: str | os.PathLike) -> pathlib.Path:
    """Returns the file of a network: that of a run folder, or a `.keras` file itself.

    Args:
        path: a run folder, or a `.keras` file.
    """
    path = pathlib.Path(path)
    return path / MODEL if path.is_dir() else path


def calibration_file(path: str | os.PathLike) -> pathlib.Path:
    """Returns the path of a network's calibration, whether the file exists or not.

    Args:
        path: a run folder, or a `.keras` file.

    Returns:
        `calibration.json` in the run folder, also for the folder's own `model.keras`;
        `<stem>.calibration.json` beside a `.keras` file outside a run folder.
    """
    file = model_file(path)
    in_run = file.name == MODEL and file.with_name(RECIPE).is_file()
    return file.with_name(CALIBRATION if in_run else f"{file.stem}.{CALIBRATION}")
