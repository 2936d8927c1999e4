"""Saves and restores the whole state of a training run, so that it goes on as if nothing had happened."""

import json
import pathlib
import zipfile

import numpy as np

from semenet.data.files import replacing
from semenet.errors import SemenetError


class CheckpointError(SemenetError):
    """A checkpoint cannot be read, or belongs to another network."""


def save_state(path, model, progress):
    """Writes every variable of the model and its optimizer, seeds included, in one atomic step.

    Args:
        path: file, conventionally `.npz`; replaced only once the new one is complete on disk.
        model: compiled `keras.Model`.
        progress: JSON-serialisable dict of what else the run must remember.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{index}": np.asarray(value) for index, value in enumerate(_state(model))}
    with replacing(path) as temporary:
        np.savez(temporary, progress=json.dumps(progress), **arrays)


def restore_state(path, model):
    """Puts back what `save_state` wrote.

    Args:
        path: its file.
        model: the same network, compiled alike.

    Returns:
        The `progress` dict.

    Raises:
        CheckpointError: if the file is broken or another network's.
    """
    variables = _state(model)
    try:
        with np.load(path, allow_pickle=False) as file:
            progress = json.loads(str(file["progress"]))
            arrays = [file[f"v{index}"] for index in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"A checkpoint must be a complete file of this version. Received: {path}: {error}. "
            "Remove it to start the run anew."
        ) from error
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise CheckpointError(
            "A checkpoint fits the network and optimizer that wrote it. "
            f"Received: {path} with {len(arrays)} arrays for {len(variables)} variables, or other "
            "shapes. Train into another folder."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return progress


def _state(model):
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
