"""The folder of a saved cascade: its networks, their calibrations and a description with all hashes."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Mapping

from semenet.errors import SemenetError
from semenet.storage.atomic import new_folder, write_text
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import SHA256, TEXTS, JsonError, object_schema, read_json
from semenet.training.run_folder.file_names import calibration_file, model_file
from semenet.training.run_folder.run import Run

DESCRIPTION = "cascade.json"
# Version 2 added the hashes of the calibrations.
FORMAT = 2
STAGES = ("stage1", "lungs", "stage2")
_STAGE = object_schema({"sha256": SHA256, "calibration_sha256": {"anyOf": [{"type": "null"}, SHA256]}})
_SCHEMA = object_schema(
    {"format": {"const": FORMAT}, "refines": {"type": "string"}, "gated": {"type": "boolean"}}
    | dict.fromkeys(STAGES, _STAGE),
    {"class_names": TEXTS},
)


class CascadeError(SemenetError):
    """Networks that cannot form a cascade, or a folder without a complete saved cascade."""


@dataclasses.dataclass(frozen=True)
class SavedCascade:
    """The content of a cascade folder.

    Attributes:
        networks: the files of the three networks, in the order of `STAGES`.
        refines: the class of stage 1 that stage 2 divides.
        gated: whether the input gate is used.
        origins: the names that the networks had when the cascade was saved, such as `unet:lung`; "" where
            that is not recorded.
    """

    networks: tuple[pathlib.Path, pathlib.Path, pathlib.Path]
    refines: str
    gated: bool
    origins: tuple[str, str, str]


def is_cascade(path: str | os.PathLike) -> bool:
    """Returns whether a path is a folder with the description of a cascade."""
    return (pathlib.Path(path) / DESCRIPTION).is_file()


def write_cascade(
    folder: str | os.PathLike,
    runs: Mapping[str, Run],
    *,
    refines: str,
    gated: bool,
    class_names: tuple[str, ...],
) -> pathlib.Path:
    """Writes the three networks of a cascade, their calibrations and the description.

    Args:
        folder: new or empty folder.
        runs: the networks, by `STAGES`.
        refines: the class of stage 1 that stage 2 divides.
        gated: whether the input gate is used.
        class_names: the classes of the joint distribution.

    Returns:
        The folder.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
    """
    description = {"format": FORMAT, "refines": refines, "gated": gated, "class_names": class_names}
    with new_folder(folder) as made:
        for stage, run in runs.items():
            file = made / f"{stage}.keras"
            if run.path is not None and run.published is None:
                shutil.copyfile(model_file(run.path), file)
            else:
                run.model.save(file)
            calibrated = calibration_file(file)
            if not run.segments and run.calibration is not None:
                calibration = run.calibration | {"model_sha256": file_sha256(file)}
                write_text(calibrated, json.dumps(calibration, indent=2) + "\n")
            description[stage] = {
                "network": run.model.name,
                "sha256": file_sha256(file),
                "calibration_sha256": file_sha256(calibrated) if calibrated.is_file() else None,
                "from": run.name,
                "command": run.record.get("command"),
                "manifest_sha256": run.record.get("manifest_sha256"),
            }
        write_text(made / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    return pathlib.Path(folder)


def read_cascade(folder: str | os.PathLike) -> SavedCascade:
    """Reads the description of a saved cascade and checks its files against their hashes.

    Args:
        folder: a folder written by `write_cascade`.

    Raises:
        CascadeError: the folder has no complete description, or a network or calibration is missing or has
            changed since it was saved.
    """
    folder = pathlib.Path(folder)
    path = folder / DESCRIPTION
    try:
        description = read_json(path, _SCHEMA)
    except (OSError, JsonError) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "which does not exist" if missing else f"which is not complete: {error}"
        raise CascadeError(
            f"A cascade is a folder with a complete {DESCRIPTION}, as `semenet cascade` writes it. "
            f"Received: {path}, {reason}. Write the cascade again."
        ) from error
    networks = tuple(folder / f"{stage}.keras" for stage in STAGES)
    expected = {}
    for stage, file in zip(STAGES, networks, strict=True):
        expected[file] = description[stage]["sha256"]
        expected[calibration_file(file)] = description[stage]["calibration_sha256"]
    for file, sha256 in expected.items():
        found = file_sha256(file) if file.is_file() else None
        if found != sha256:
            raise CascadeError(
                "The networks and calibrations of a cascade must be those it was saved with: without them it "
                f"would answer where it should abstain. Received: {file}, which "
                f"{'is missing' if found is None else 'has changed'}. Write the cascade again."
            )
    origins = tuple(str(description[stage].get("from", "")) for stage in STAGES)
    return SavedCascade(networks, description["refines"], description["gated"], origins)
