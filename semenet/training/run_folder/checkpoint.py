"""Saves and restores the whole state of a training run, so that it goes on as if nothing had happened."""

import json
import pathlib
import zipfile

import numpy as np

from semenet.errors import SemenetError
from semenet.storage.atomic import replacing

# What NumPy and zipfile raise for files that are cut, damaged, or something else.
_BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile)


class CheckpointError(SemenetError):
    """A checkpoint cannot be read, or belongs to another network."""


def save_state(path, arrays, progress):
    """Writes arrays in one atomic step.

    Args:
        path: file, conventionally `.npz`; replaced only once the new one is complete on disk.
        arrays: list of arrays, the values of what `state_of` gives.
        progress: JSON-serialisable dict of what else the run must remember.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {f"v{number}": array for number, array in enumerate(arrays)}
    with replacing(path) as temporary:
        np.savez(temporary, progress=json.dumps(progress), **named)


def read_state(path, need=()):
    """Reads what `save_state` wrote.

    Args:
        path: its file.
        need: names that `progress` must have.

    Returns:
        (list of arrays, the `progress` dict).

    Raises:
        CheckpointError: if the file is broken.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            progress = json.loads(str(file["progress"]))
            if missing := set(need) - set(progress):
                raise KeyError(*missing)
            return [file[f"v{number}"] for number in range(len(file.files) - 1)], progress
    except _BROKEN as error:
        raise CheckpointError(
            f"A checkpoint must be a complete file of this version. Received: {path}: {error}. "
            "Remove it to start the run anew."
        ) from error


def assign_state(path, arrays, variables):
    """Puts arrays into variables.

    Args:
        path: the file that they are from, for the message.
        arrays: list of arrays.
        variables: list of `keras.Variable` that were saved.

    Raises:
        CheckpointError: if they are another network's or optimizer's.
    """
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise CheckpointError(
            "A checkpoint fits the network and optimizer that wrote it. "
            f"Received: {path} with {len(arrays)} arrays for {len(variables)} variables, or other "
            "shapes. Train into another folder."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def state_of(model, network):
    """Every variable that a training step changes, but for the metrics of the epoch.

    Args:
        model: what is fitted, compiled: the network itself, or what distils into it.
        network: the network, whose weights, seeds and moment exchange go along.

    Returns:
        list of `keras.Variable`, the optimizer's last.
    """
    return [*network.variables, *model.optimizer.variables]
