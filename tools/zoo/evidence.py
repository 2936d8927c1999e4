"""Measures the evidence of a publication beside its validation: held-out images and other hospitals."""

import dataclasses
import json

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.cross_validation.series_folder import PLAN
from semenet.evaluation.measure.choices import choices
from semenet.evaluation.split_evaluation import evaluate
from semenet.training.recipe import Recipe


def chosen_on(copy, manifest, split, also_chosen):
    """Returns what was chosen on each split of the training's manifest: dict from str to list of str."""
    found = choices(copy, manifest)
    return found | {split: found[split] + [name for name in also_chosen if name not in found[split]]}


def held_out(publication, run, copy, chosen, work):
    """Returns the measurements on images that nothing was chosen on, for the metadata."""
    found = []
    if publication.test_split is not None:
        if chosen.get(publication.test_split) != []:
            raise SemenetError(
                "A test is a split of the training's manifest on which nothing was chosen. Received: "
                f"{publication.test_split!r}; chosen on it: {chosen.get(publication.test_split)}. "
                "Use another split, or leave the test out."
            )
        folder = work / "test"
        measured = _evaluate(copy, publication, publication.manifest, publication.test_split, folder)
        found.append({"kind": "test", "split": publication.test_split, **measured})
    if publication.cross_validation is not None:
        found.append(_cross_validation(publication.cross_validation, run))
    return found


def other_hospitals(publication, copy, work):
    """Returns the measurements on the manifests of other hospitals, for the metadata."""
    found = []
    for number, manifest in enumerate(publication.hospitals):
        name = manifest.stem if manifest.stem != "manifest" else manifest.parent.name
        folder = work / f"hospital{number}"
        measured = _evaluate(copy, publication, manifest, publication.hospital_split, folder)
        found.append({"name": name, "split": publication.hospital_split, **measured})
    return found


def _evaluate(copy, publication, manifest, split, folder):
    where = {"batch_size": publication.batch_size, "lungs": publication.lungs}
    measured = evaluate(copy.path, manifest, split, out=folder, **where)
    table = read_manifest(manifest, required=("mask",) if copy.segments else ("label",))
    return _described(measured, measured, table.sha256, measured["interval_method"])


def _cross_validation(folder, run):
    plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    result = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    recipe = dataclasses.replace(Recipe.from_json(json.dumps(plan["recipe"])), seed=run.recipe.seed)
    if recipe != run.recipe or plan["manifest_sha256"] != run.record["manifest_sha256"]:
        raise SemenetError(
            "A cross-validation stands for a network of the same recipe and manifest. "
            f"Received: {folder} for {run.path}, which differ. Repeat it with the recipe of the run."
        )
    pooled = result["pooled"]
    return {
        "kind": "cross-validation",
        "by": plan["by"],
        "folds": len(plan["folds"]),
        "recipe": plan["recipe"],
        "val_share": plan["val_share"],
        **_described(pooled | pooled["figures"], pooled, plan["manifest_sha256"], result["interval_method"]),
    }


def _described(values, measured, manifest_sha256, method):
    return {
        "count": measured["count"],
        "patients": measured["patients"],
        "manifest_sha256": manifest_sha256,
        "method": method,
        "figures": {
            name: {"value": values[name], "interval": interval}
            for name, interval in measured["intervals"].items()
        },
    }
