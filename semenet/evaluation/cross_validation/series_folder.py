"""The folder of a cross-validation: its plan, the folders of its folds, and what it can be resumed with."""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from semenet.data.manifest.table import Manifest
from semenet.errors import SemenetError
from semenet.evaluation.cross_validation.folds import Fold
from semenet.storage.atomic import is_temporary, write_text
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import JsonError, object_schema, read_json
from semenet.training.recipe import Recipe
from semenet.training.run_folder.file_names import model_file
from semenet.training.run_folder.record import RunFolderError
from semenet.training.run_folder.run_folder_setup import LOCK

PLAN = "cross_validation.json"
FOLDS = "folds"


def fold_folder(out: pathlib.Path, number: int, fold: Fold) -> pathlib.Path:
    """Returns the folder of a fold, such as `folds/2_hannover`; its parts are manifest.csv, run, evaluation.

    Args:
        out: the folder of the series.
        number: the fold's position, from 1.
        fold: the fold.
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", fold.name)[:60]
    return out / FOLDS / (name if fold.name == str(number) else f"{number}_{name}")


def describe_plan(
    recipe: Recipe, manifest: Manifest, by: str, folds: Sequence[Fold], settings: dict[str, Any]
) -> dict[str, Any]:
    """Describes everything that the result of a series depends on, as a dict for JSON.

    Args:
        recipe: the recipe of all folds.
        manifest: the manifest whose rows were drawn.
        by: "patient", or the column whose values are left out.
        folds: the folds.
        settings: further settings by name, such as the share of the inner split.
    """
    paths = {"weights": recipe.weights, "teacher": recipe.teacher, "lungs": settings.get("lungs")}
    return {
        "format": 1,
        "recipe": json.loads(recipe.to_json()),
        "manifest_sha256": manifest.sha256,
        "by": by,
        **settings,
        **{f"{name}_sha256": _network_sha256(path) for name, path in paths.items()},
        "folds": [
            {"name": fold.name, "sha256": _rows_sha256(fold), "excluded": fold.excluded, **fold.counts()}
            for fold in folds
        ],
    }


def check_plan(out: pathlib.Path, plan: dict[str, Any]) -> bool:
    """Checks that a series can be started or resumed in a folder.

    Args:
        out: the folder.
        plan: dict of `describe_plan`.

    Returns:
        Whether the folder holds an earlier start of the same series.

    Raises:
        RunFolderError: it holds another series, or something else.
    """
    file = out / PLAN
    if not file.is_file():
        if out.exists() and (not out.is_dir() or any(not _is_from_start(item) for item in out.iterdir())):
            raise RunFolderError(
                "A cross-validation needs a new or an empty folder, or its own folder to resume. "
                f"Received: {out}, which holds something else. Pass another --out."
            )
        return False
    try:
        earlier = read_json(file, object_schema({"recipe": {"type": "object"}}))
        recipe = dataclasses.asdict(Recipe.from_json(json.dumps(earlier["recipe"])))
    except (OSError, JsonError, SemenetError) as error:
        raise RunFolderError(
            f"The folder of a cross-validation must hold a complete {PLAN}. Received: {file}: {error} "
            "Pass another --out."
        ) from error
    now = dataclasses.asdict(Recipe.from_json(json.dumps(plan["recipe"])))
    differences = [
        f"{name} {recipe[name]!r}, now {value!r}" for name, value in now.items() if recipe[name] != value
    ]
    for name in (key for key in plan if key != "recipe"):
        if earlier.get(name) != plan[name]:
            shown = name in ("manifest_sha256", "folds") or name.endswith("_sha256")
            differences.append(
                f"another {name}" if shown else f"{name} {earlier.get(name)!r}, now {plan[name]!r}"
            )
    if differences:
        raise RunFolderError(
            "A cross-validation can only be resumed with the arguments that it was started with. "
            f"Received: {out}, started with {'; '.join(differences)}. Pass these, or another --out."
        )
    return True


def write_plan(out: pathlib.Path, plan: dict[str, Any]) -> None:
    """Writes the plan of a new series."""
    write_text(out / PLAN, json.dumps(plan, indent=2, allow_nan=False) + "\n")


def _is_from_start(item: pathlib.Path) -> bool:
    """Whether a file was left by a series that was killed at its start."""
    return item.name == LOCK or is_temporary(item, (PLAN,))


def _rows_sha256(fold: Fold) -> str:
    """Returns the hash of the files of a fold and their splits."""
    cells = fold.rows[["file", "split"]].to_numpy().tolist()
    return hashlib.sha256(json.dumps(cells).encode("ascii")).hexdigest()


def _network_sha256(path: str | None) -> str | None:
    """Returns the hash of a run or a `.keras` file; None for a name that is no path."""
    file = None if path is None else model_file(path)
    return file_sha256(file) if file is not None and file.is_file() else None
