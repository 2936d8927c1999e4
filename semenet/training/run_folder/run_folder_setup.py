"""Prepares a run folder for training: a new folder or that of the same run, for one process at a time."""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import filelock
import keras
import tensorflow as tf

from semenet.storage.atomic import is_temporary, output_folder, write_text
from semenet.training.processor import processor_name
from semenet.training.recipe import Recipe
from semenet.training.run_folder.file_names import RECIPE, RECORD
from semenet.training.run_folder.record import RunFolderError, package_versions, read_recipe, read_record

if TYPE_CHECKING:
    from semenet.data.manifest.table import Manifest
    from semenet.training.options import RunOptions
    from semenet.training.precision import Precision

LOCK = ".lock"
# Other inputs of a run that its record stores, and how an error says that they have changed.
_OTHER_INPUTS = {
    "skipped": "other files left out",
    "sampling": "other values of the columns to balance by",
    "teacher_sha256": "another teacher",
    "weights_sha256": "other weights to start from",
    "images_sha256": "other contents of the image files",
    "columns_sha256": "other values in the columns of --group-by, --unlearn or --unlearn-within",
}


def find_earlier_record(
    out: pathlib.Path, recipe: Recipe, manifest: "Manifest", inputs: dict[str, Any]
) -> dict[str, Any] | None:
    """Finds the record of an earlier start of the same run.

    Args:
        out: the run folder.
        recipe: the recipe of this start.
        manifest: the manifest of this start.
        inputs: the other inputs of this start: the dict of `select_rows`, `sampling`, `teacher_sha256`,
            `weights_sha256`, `images_sha256` and `columns_sha256`.

    Returns:
        The content of run.json; None where the folder holds no run yet.

    Raises:
        RunFolderError: `out` holds another run, or other files.
    """
    if not (out / RECORD).exists():
        # A run that was killed at its start has left nothing but its recipe.
        if out.exists() and (not out.is_dir() or any(not _is_from_start(item) for item in out.iterdir())):
            raise RunFolderError(
                "A run needs a new or an empty folder, or its own folder to resume. "
                f"Received: {out}, which holds something else. Pass another --out."
            )
        return None
    record = read_record(out)
    if not (out / RECIPE).is_file():
        raise RunFolderError(
            f"A run folder must hold {RECIPE} beside {RECORD}. Received: {out}, where {RECIPE} is missing. "
            "Pass another --out."
        )
    earlier = read_recipe(out / RECIPE)
    differences = [
        f"{field.name} {getattr(earlier, field.name)!r}, now {getattr(recipe, field.name)!r}"
        for field in dataclasses.fields(recipe)
        if getattr(earlier, field.name) != getattr(recipe, field.name)
    ]
    if record["manifest_sha256"] != manifest.sha256:
        differences.append("another manifest")
    for key, difference in _OTHER_INPUTS.items():
        # A finished run needs its images no more: they may be gone.
        if key == "images_sha256" and record["status"] == "finished":
            continue
        if record.get(key, inputs[key]) != inputs[key]:
            differences.append(difference)
    if differences:
        raise RunFolderError(
            "A run can only be resumed with the recipe and the manifest that it was started with. "
            f"Received: {out}, started with {'; '.join(differences)}. Pass another --out."
        )
    return record


@contextlib.contextmanager
def locked_run_folder(out: pathlib.Path) -> Iterator[None]:
    """Reserves a run folder for this process as long as the block lasts; creates it if it does not exist.

    The operating system releases the lock when the process ends, however it ends.

    Args:
        out: the run folder.

    Raises:
        RunFolderError: another process trains in it.
        OutputError: the folder cannot be created or written to.
    """
    lock = filelock.FileLock(output_folder(out) / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise RunFolderError(
            f"Only one process can train in a run folder. Received: {out}, where another process is "
            "training. Wait until it ends, stop it, or pass another --out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def start_record(
    out: pathlib.Path,
    recipe: Recipe,
    manifest: "Manifest",
    inputs: dict[str, Any],
    options: "RunOptions",
    precision: "Precision",
) -> dict[str, Any]:
    """Writes recipe.json and run.json of a new run.

    Args:
        out: the run folder.
        recipe: the recipe.
        manifest: the manifest.
        inputs: as for `find_earlier_record`.
        options: the options of this start.
        precision: the precision in use.

    Returns:
        The record, which holds all that is needed to repeat the run.
    """
    record = {
        "status": "training",
        "manifest": str(manifest.path.resolve()),
        "manifest_sha256": manifest.sha256,
        "images": manifest.rows["split"].value_counts().to_dict(),
        **inputs,
        "precision": precision.policy,
        "precision_reason": precision.reason,
        "backend": keras.backend.backend(),
        **_describe_start(options),
        "starts": [_describe_start(options)],
    }
    write_text(out / RECIPE, recipe.to_json())
    write_text(out / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def resume_record(
    out: pathlib.Path, record: dict[str, Any], options: "RunOptions", precision: "Precision"
) -> dict[str, Any]:
    """Adds this start to the record of a run that is resumed, and writes it.

    Args:
        out: the run folder.
        record: the content of its run.json.
        options: the options of this start.
        precision: the precision in use.

    Returns:
        The new record.

    Raises:
        RunFolderError: the run was started with another numeric policy or on another backend.
    """
    current = {"precision": precision.policy, "backend": keras.backend.backend()}
    for name, value in current.items():
        if record.get(name, value) != value:
            raise RunFolderError(
                "A run can only be resumed with the numeric policy and the backend it was started with. "
                f"Received: {out}, started with {name} {record[name]}, now {value}. Pass --precision, set "
                "KERAS_BACKEND, or pass another --out."
            )
    _tell_other_versions(out, record.get("versions", {}))
    record["starts"] = [*record.get("starts", []), _describe_start(options)]
    write_text(out / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _tell_other_versions(out: pathlib.Path, started: dict[str, str]) -> None:
    """Prints which packages differ from those of the run's first start."""
    current = package_versions()
    others = [
        f"{name} {started[name]}, now {version}"
        for name, version in current.items()
        if started.get(name, version) != version
    ]
    if others:
        print(
            f"semenet: {out} was started with {'; '.join(others)}. The result may differ from that of an "
            "uninterrupted run.",
            file=sys.stderr,
        )


def _describe_start(options: "RunOptions") -> dict[str, Any]:
    """Describes this start of a run: its command, software and hardware."""
    return {
        "command": shlex.join(sys.argv),
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "options": dataclasses.asdict(options),
        "versions": package_versions(),
        "commit": _commit(),
        "devices": _devices(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {processor_name()}",
    }


def _is_from_start(item: pathlib.Path) -> bool:
    """Whether a file is a recipe, a lock, or a temporary file that a killed process left at its start."""
    return item.name in (RECIPE, LOCK) or is_temporary(item, (RECIPE, RECORD))


def _devices() -> list[str]:
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()
    names = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        names.append(" ".join([device.name, details.get("device_name", "")]).strip())
    return names


def _commit() -> str | None:
    """Returns the commit of semenet's checkout, with "+" if files differ from it; None outside a checkout."""
    checkout = pathlib.Path(__file__).parents[3]
    if not (checkout / ".git").exists():
        return None
    git = ["git", "-C", str(checkout)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
