"""Opens a run folder to train in: a new one, or this very run's own, and no two processes at once."""

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

import filelock
import keras
import tensorflow as tf

from semenet.storage.atomic import is_temporary, output_folder, write_text
from semenet.training.recipe import Recipe
from semenet.training.run_folder import run as run_folder

LOCK = ".lock"
# What else a run was made of, in its record, and how to say that it is another now.
_OTHER = {
    "skipped": "other files left out",
    "teacher_sha256": "another teacher",
    "weights_sha256": "other weights to start from",
}


def earlier_record(out, recipe, manifest, selection):
    """The record of this run's earlier start.

    Args:
        out: pathlib.Path of the run folder.
        recipe: `Recipe`.
        manifest: `Manifest`.
        selection: dict of what else the run was made of: that of `select_rows`,
            `teacher_sha256` and `weights_sha256`.

    Returns:
        dict of its run.json; None where there was none.

    Raises:
        RunFolderError: if `out` holds another run, or something else.
    """
    if not (out / run_folder.RECORD).exists():
        # A run that was killed as it began has left nothing but its recipe.
        if out.exists() and (not out.is_dir() or any(not _is_ours(item) for item in out.iterdir())):
            raise run_folder.RunFolderError(
                "A run needs a new or an empty folder, or its own to go on in. "
                f"Received: {out}, which holds something else. Give another --out."
            )
        return None
    record = run_folder.read_record(out)
    if not (out / run_folder.RECIPE).is_file():
        raise run_folder.RunFolderError(
            f"A run folder holds {run_folder.RECIPE} beside {run_folder.RECORD}. Received: {out} without it. "
            "Give another --out."
        )
    found = Recipe.from_json((out / run_folder.RECIPE).read_text(encoding="utf-8"))
    differences = [
        f"{field.name} {getattr(found, field.name)!r}, now {getattr(recipe, field.name)!r}"
        for field in dataclasses.fields(recipe)
        if getattr(found, field.name) != getattr(recipe, field.name)
    ]
    if record["manifest_sha256"] != manifest.sha256:
        differences.append("another manifest")
    for key, difference in _OTHER.items():
        if record.get(key, selection[key]) != selection[key]:
            differences.append(difference)
    if differences:
        raise run_folder.RunFolderError(
            "A run goes on only with the recipe and the manifest it was started with. "
            f"Received: {out}, begun with {'; '.join(differences)}. Give another --out."
        )
    return record


@contextlib.contextmanager
def locked(out):
    """Keeps a run folder, which is made if it is absent, for this process as long as the block lasts.

    The system lets go of it when the process ends, however it ends.

    Args:
        out: pathlib.Path.

    Raises:
        RunFolderError: if another process trains in it.
        OutputError: if it cannot be made or written into.
    """
    lock = filelock.FileLock(output_folder(out) / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise run_folder.RunFolderError(
            f"One process trains in a run folder. Received: {out}, in which another one is at work. Wait "
            "for it, end it, or give another --out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def begin(out, recipe, manifest, selection, options, policy):
    """Writes recipe.json and run.json of a run that begins.

    Args:
        out: pathlib.Path of the run folder.
        recipe: `Recipe`.
        manifest: `Manifest`.
        selection: as for `earlier_record`.
        options: `RunOptions`.
        policy: str, the numeric policy in force.

    Returns:
        dict, the record: all that it takes to repeat the run.
    """
    record = {
        "status": "training",
        "manifest": str(manifest.path.resolve()),
        "manifest_sha256": manifest.sha256,
        "images": manifest.rows["split"].value_counts().to_dict(),
        **selection,
        "precision": policy,
        "backend": keras.backend.backend(),
        **_start(options),
        "starts": [_start(options)],
    }
    write_text(out / run_folder.RECIPE, recipe.to_json())
    write_text(out / run_folder.RECORD, json.dumps(record, indent=2) + "\n")
    return record


def go_on(out, record, options, policy):
    """Adds this start to the record of a run that was begun.

    Args:
        out: pathlib.Path of the run folder.
        record: dict of its run.json.
        options: `RunOptions`.
        policy: str, the numeric policy in force.

    Returns:
        dict, the record.

    Raises:
        RunFolderError: if the run was begun in another numeric policy or on another backend.
    """
    here = {"precision": policy, "backend": keras.backend.backend()}
    for name, value in here.items():
        if record.get(name, value) != value:
            raise run_folder.RunFolderError(
                "A run goes on in the numeric policy and on the backend it was begun with. "
                f"Received: {out}, begun with {name} {record[name]}, now {value}. Pass --precision, set "
                "KERAS_BACKEND, or give another --out."
            )
    record["starts"] = [*record.get("starts", []), _start(options)]
    write_text(out / run_folder.RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _start(options):
    """What one start of a run was: its command, and what it ran on."""
    return {
        "command": shlex.join(sys.argv),
        "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "options": dataclasses.asdict(options),
        "versions": run_folder.versions(),
        "commit": _commit(),
        "devices": _devices(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
    }


def _is_ours(item):
    """Whether a file is a recipe, a lock, or what a killed process was writing when it died."""
    ours = (run_folder.RECIPE, LOCK)
    return item.name in ours or is_temporary(item, (run_folder.RECIPE, run_folder.RECORD))


def _devices():
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()
    names = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        names.append(" ".join([device.name, details.get("device_name", "")]).strip())
    return names


def _processor():
    """The processor's name; the system's word for it where Linux's list is absent."""
    listing = pathlib.Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit():
    """The commit of the checkout that semenet runs from, with a "+" if files differ; None outside of one."""
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
