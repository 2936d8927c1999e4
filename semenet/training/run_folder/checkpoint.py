"""Saves and restores the complete state of a training run, so that a killed run can be resumed exactly."""

import json
import os
import pathlib
import zipfile
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from semenet.errors import SemenetError
from semenet.storage.atomic import replacing
from semenet.storage.json_files import object_schema, parse_json

# What NumPy and zipfile raise for files that are truncated, damaged, or of another kind.
_READ_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile)


class CheckpointError(SemenetError):
    """A checkpoint that cannot be read, or that belongs to another network."""


def save_state(path: str | os.PathLike, arrays: Sequence[np.ndarray], progress: dict[str, Any]) -> None:
    """Writes a checkpoint in one atomic step.

    Args:
        path: the file, by convention `.npz`. It is replaced once the new one is complete on disk.
        arrays: the values of the variables of `state_of`.
        progress: everything else that the run must remember, JSON-serialisable.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {f"v{number}": array for number, array in enumerate(arrays)}
    with replacing(path) as temporary:
        np.savez(temporary, progress=json.dumps(progress), **named)


def read_state(
    path: str | os.PathLike, need: Collection[str] = ()
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Reads a checkpoint that `save_state` wrote.

    Args:
        path: the file.
        need: keys that `progress` must have.

    Returns:
        The arrays and the `progress` dict.

    Raises:
        CheckpointError: the file is damaged, or a key is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            progress = parse_json(
                str(file["progress"]), object_schema({key: {} for key in need}), finite=False
            )
            return [file[f"v{number}"] for number in range(len(file.files) - 1)], progress
    except _READ_ERRORS as error:
        raise CheckpointError(
            f"A checkpoint must be a complete file of this version. Received: {path}: {error}. "
            "Delete it to start the run from the beginning."
        ) from error


def assign_state(
    path: str | os.PathLike, arrays: Sequence[np.ndarray], variables: Sequence[keras.Variable]
) -> None:
    """Assigns the arrays of a checkpoint to variables.

    Args:
        path: the checkpoint's file, for the error message.
        arrays: the values.
        variables: the variables, in the order in which they were saved.

    Raises:
        CheckpointError: the arrays belong to another network or optimizer.
    """
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise CheckpointError(
            "A checkpoint fits only the network and optimizer that wrote it. "
            f"Received: {path} with {len(arrays)} arrays for {len(variables)} variables, or with other "
            "shapes. Train in another folder."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def state_of(model: keras.Model, network: keras.Model) -> list[keras.Variable]:
    """Returns all variables that a training step changes, except for the metrics of the epoch.

    Args:
        model: the compiled model that is fitted: the network itself, or a distillation of it.
        network: the network, with its weights, random seeds and moment exchange.

    Returns:
        The network's variables, then those that only the model has (`own_variables`), then the optimizer's.
    """
    return [*network.variables, *getattr(model, "own_variables", ()), *model.optimizer.variables]
