"""Creates the metadata.json of published weights, with metrics measured on the published network."""

import dataclasses
import json
import pathlib
import shlex
import shutil

import numpy as np
import pandas as pd
from evidence import chosen_on, held_out, other_hospitals

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.measure.calibration import calibrate
from semenet.evaluation.shortcut_audit.classifier_audit import audit
from semenet.evaluation.split_evaluation import evaluate
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function
from semenet.models.catalog import architecture_arguments
from semenet.models.layers.input_scaling import has_imagenet_scaling
from semenet.models.weights.compact import halve_kernels
from semenet.models.weights.places import METADATA
from semenet.progress import track
from semenet.training.run_folder.file_names import CALIBRATION, MODEL, TIMINGS
from semenet.training.run_folder.run import Run

_FIGURES = ("accuracy", "macro_f1", "macro_auroc", "dice", "mean_iou")


def describe(publication, about, run, copy, work):
    """Returns the metadata, measured on a copy of the run, without the fields about the written files."""
    manifest = read_manifest(publication.manifest, required=("mask",) if run.segments else ("label",))
    if run.record["manifest_sha256"] != manifest.sha256:
        raise SemenetError(
            "Weights are published with the manifest that they were trained on, whose hash is in the run. "
            f"Received: {publication.manifest}, which has another hash. Use the manifest of the training."
        )
    rows = manifest.split(publication.split)
    calibration, measured = calibrate_and_measure(copy, publication, work / "evaluation")
    audited = None
    if not run.segments and (publication.lungs is not None or LungMasks().has_mask(rows).all()):
        where = {"batch_size": publication.batch_size, "lungs": publication.lungs}
        audited = audit(copy.path, publication.manifest, publication.split, out=work / "audit", **where)
    # Opened again, because the copy has a calibration now.
    chosen = chosen_on(Run.open(copy.path), manifest, publication.split, about["also_chosen"])
    start, recipe = run.record["starts"][0], run.recipe
    taken = architecture_arguments(recipe.entry)
    return {
        "format": 2,
        "entry": recipe.entry,
        "name": publication.name,
        "version": about["version"],
        "changelog": _changelog(publication, recipe.entry) | {about["version"]: about["change"]},
        **{key: about[key] for key in ("summary", "intended_use", "not_for", "cautions", "license")},
        "data": {
            "sources": about["sources"],
            "splits": {
                name: {"images": len(part), "patients": int(part["patient"].nunique())}
                for name, part in manifest.rows.groupby("split")
                if name in ("train", "val")
            },
        },
        "training": {
            "recipe": dataclasses.asdict(recipe),
            "command": portable(run.record["command"]),
            "commit": start["commit"],
            "manifest_sha256": manifest.sha256,
            "hardware": start["machine"],
            "wall_time_seconds": round(float(pd.read_csv(run.path / TIMINGS)["seconds"].sum())),
            "best_epoch": run.record["best_epoch"],
            "cut": about["cut"],
            "versions": start["versions"],
        },
        "network": {
            "class_names": list(run.class_names),
            "input_shape": list(run.model.input_shape[1:]),
            "value_range": [0, 255],
            "activation": run.activation,
            "imagenet_scaling": has_imagenet_scaling(run.model),
            "inference_clahe": run.inference_clahe,
            "lungs_alone": run.lungs_alone if not run.segments else False,
            **({"lung_view": lung_settings(run)} if run.lung_view.needs_mask else {}),
            "architecture": {name: value for name, value in recipe.architecture.items() if name in taken},
            "parameters": run.model.count_params(),
        },
        "calibration": calibration,
        "chosen_on": chosen,
        "metrics": {
            "validation": {
                "split": publication.split,
                "count": measured["count"],
                "patients": measured["patients"],
                "manifest_sha256": manifest.sha256,
                "method": measured["interval_method"],
                "fed": _fed(run, publication.lungs),
                "figures": _figures(measured, measured["intervals"]),
                "subgroups": {
                    column: {value: _of_subgroup(of) for value, of in values.items()}
                    for column, values in measured["subgroups"].items()
                },
            },
            "held_out": held_out(publication, run, copy, chosen, work),
            "other_hospitals": other_hospitals(publication, copy, work),
        },
        "audit": audited and {key: audited[key] for key in ("verdict", "words", "split", "count", "masks")},
    }


def calibrate_and_measure(copy, publication, folder):
    """Returns the calibration for the metadata (None for a segmentation network) and `evaluate`'s result."""
    where = {"batch_size": publication.batch_size, "lungs": publication.lungs}
    calibration = None
    if not copy.segments:
        calibration = calibrate(
            copy.path,
            publication.manifest,
            publication.split,
            accuracy=publication.answer_accuracy,
            **where,
        )
        calibration = {
            name: calibration[name] for name in sorted(calibration.keys() - {"command", "versions"})
        }
    return calibration, evaluate(copy.path, publication.manifest, publication.split, out=folder, **where)


def largest_change(run, rounded, publication):
    """Returns the largest change of an output by rounding, over all images of a split."""
    rows = read_manifest(publication.manifest, required=()).split(publication.split)
    masks = LungMasks.open(publication.lungs)
    before, after = (scoring_function(one, calibrated=False) for one in (run, rounded))
    images = track(masks.network_inputs(rows, run, publication.batch_size), len(rows), "Comparing")
    return max(float(np.abs(before(batch) - after(batch)).max()) for batch in images)


def same_but_for_its_seed(repeat, run):
    """Returns `repeat` if it is finished and has the recipe (except the seed) and manifest of `run`.

    Raises:
        SemenetError: it is not finished or differs in something else.
    """
    same = dataclasses.replace(repeat.recipe, seed=run.recipe.seed) == run.recipe
    data = repeat.record["manifest_sha256"] == run.record["manifest_sha256"]
    if not (same and data and repeat.record.get("status") == "finished"):
        raise SemenetError(
            "A repeat must be finished and have the same recipe and manifest. Received: "
            f"{repeat.path} for {run.path}. Use runs that differ only in --seed."
        )
    return repeat


def by_seed(publication, metadata, run, repeats, work):
    """Returns the main metrics of a run and its repeats: dict from metric to dict from seed to float."""
    seeds = [run.recipe.seed, *(repeat.recipe.seed for repeat in repeats)]
    if len(set(seeds)) < len(seeds):
        raise SemenetError(f"Each repeat must have another seed. Received: {seeds}. Remove repeated seeds.")
    measured = {run.recipe.seed: metadata["metrics"]["validation"]["figures"]}
    for repeat in repeats:
        folder = work / f"seed{repeat.recipe.seed}"
        copy = copy_run(repeat, folder, rounded=not publication.figures_only)
        _, of_repeat = calibrate_and_measure(copy, publication, folder / "evaluation")
        measured[repeat.recipe.seed] = _figures(of_repeat, of_repeat["intervals"], _FIGURES)
    return {
        name: {str(seed): measured[seed][name]["value"] for seed in sorted(measured)}
        for name in _FIGURES
        if name in measured[run.recipe.seed]
    }


def copy_run(run, folder, rounded):
    """Copies a run without its calibration, and optionally rounds the kernels to float16."""
    shutil.copytree(run.path, folder, ignore=shutil.ignore_patterns("checkpoints", "tensorboard", "last*"))
    (folder / CALIBRATION).unlink(missing_ok=True)
    copy = Run.open(folder)
    if rounded:
        halve_kernels(copy.model)
        copy.model.save(folder / MODEL)
    return copy


def portable(command):
    """Shortens the paths of a command: the last two parts of absolute paths, the last part of --out."""
    script, *arguments = shlex.split(command)
    words = ["python", "/".join(pathlib.PurePath(script).parts[-2:]), *arguments]
    parts = [pathlib.PurePath(word).parts if word.startswith("/") else None for word in words]
    return shlex.join(
        word if part is None else "/".join(part[-1:] if before == "--out" else part[-2:])
        for before, word, part in zip(["", *words], words, parts, strict=False)
    )


def _changelog(publication, entry):
    earlier = publication.out / entry / publication.name / METADATA
    return json.loads(earlier.read_text(encoding="utf-8"))["changelog"] if earlier.exists() else {}


def lung_settings(run):
    """Returns the settings of the head that say what is done with the help of lung masks."""
    view = run.lung_view
    return {"lungs_box": view.box, "lungs_box_margin": view.margin, "standardize": view.standardize}


def _fed(run, lungs):
    if run.segments or not run.needs_lungs:
        return "whole images"
    what = ["lungs alone"] if run.lungs_alone else []
    what += [run.lung_view.describe()] if run.lung_view.needs_mask else []
    source = "the manifest's masks" if lungs is None else lungs
    return f"{', '.join(what)}, by {source}"


def _of_subgroup(of):
    return {"count": of["count"], "figures": _figures(of["figures"], of["intervals"], _FIGURES)}


def _figures(values, intervals, names=None):
    names = [name for name in intervals if names is None or name in names]
    return {name: {"value": _value(values, name), "interval": intervals[name]} for name in names}


def _value(values, name):
    for part in [name] if name in values else name.split("."):
        values = values[part]
    return values
