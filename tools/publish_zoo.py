"""Publishes a run's weights: zoo/<entry>/<name>/ with metadata.json, card.md, golden.npz and weights.

Usage: python tools/publish_zoo.py RUN --name lung --manifest CSV --about about.json [--lungs unet:lung]
           [--figures-only] [--repeats RUN ...]

The kernels are rounded to float16 first; what is measured, calibrated and audited on --split is the network
that is published. about.json holds what no file tells: version, change (of this version), summary,
intended_use, not_for, cautions, license, sources (name, url, license) and cut (of the paper's size). Of an
earlier version in the same place the changelog is kept. A killed run leaves no half-written entry.

--figures-only publishes metadata.json and card.md, and no weights: nothing is rounded then. --repeats takes
runs that differ in their seed alone, which are measured too: the card has mean, deviation and each.
"""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import tempfile
from typing import Annotated

import keras
import numpy as np
import pandas as pd
import tyro
from golden import LABELS, SEED, TOLERANCE, digest, golden_input, golden_output
from verify_zoo import verify_entry

from semenet.data.manifest import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation import zoo_card
from semenet.evaluation.audit import audit
from semenet.evaluation.calibrate import calibrate
from semenet.evaluation.evaluate import evaluate
from semenet.evaluation.lungs import LungMasks
from semenet.evaluation.scoring import scorer
from semenet.models.catalog import architecture_arguments
from semenet.models.compact import halve_kernels, write_compact
from semenet.models.fetching import INDEX
from semenet.models.input_scaling import has_imagenet_scaling
from semenet.models.published import METADATA, read_published
from semenet.training.command import report_errors
from semenet.training.progress import track
from semenet.training.run import CALIBRATION, MODEL, TIMINGS, Run, sha256_of

GOLDEN = "golden.npz"
_ABOUT = ("version", "change", "summary", "intended_use", "not_for", "cautions", "license", "sources", "cut")
_FIGURES = ("accuracy", "macro_f1", "macro_auroc", "dice", "mean_iou")


@dataclasses.dataclass(frozen=True)
class Publication:
    """Publishes a run's weights."""

    run: Annotated[pathlib.Path, tyro.conf.Positional]
    """Run folder of a training that has ended."""
    name: str
    """Name of the weights, such as dataset1."""
    manifest: pathlib.Path
    """The manifest it was trained with."""
    about: pathlib.Path
    """JSON with what no file tells."""
    split: str = "val"
    """The split to measure, calibrate and audit on."""
    lungs: str | None = None
    """Run or published weights of a U-Net, for the audit and for a network fed lungs alone. None: the
    manifest's masks; of a manifest without any a network is published without an audit."""
    batch_size: int = 16
    """Images a step."""
    figures_only: bool = False
    """Publish the card and no weights."""
    repeats: tuple[pathlib.Path, ...] = ()
    """Run folders of the same recipe and manifest with other seeds."""
    out: pathlib.Path = pathlib.Path("zoo")
    """The zoo's folder."""
    index: pathlib.Path = INDEX
    """JSON that the package ships, with the hash of each metadata.json."""


def main(arguments=None):
    """Publishes, then verifies what was written."""
    with report_errors():
        publish(tyro.cli(Publication, args=arguments, description=__doc__))


def publish(publication):
    """Writes the entry's folder and its line of the index; returns the folder."""
    about = json.loads(publication.about.read_text(encoding="utf-8"))
    if missing := [key for key in _ABOUT if key not in about]:
        raise SemenetError(
            f"about.json has {', '.join(_ABOUT)}. Received: {publication.about} without {', '.join(missing)}."
        )
    run = Run.open(publication.run)
    if run.record.get("status") != "finished":
        raise SemenetError(
            f"Weights are published of a training that has ended. Received: {publication.run}."
        )
    repeats = [same_but_for_its_seed(Run.open(path), run) for path in publication.repeats]
    target = publication.out / run.recipe.entry / publication.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{publication.name}.", dir=target.parent) as temporary:
        work = pathlib.Path(temporary)
        copy = copy_run(run, work / "run", rounded=not publication.figures_only)
        metadata = describe(publication, about, run, copy, work)
        if repeats:
            metadata["metrics"]["by_seed"] = by_seed(publication, metadata, run, repeats, work)
        folder = work / publication.name
        folder.mkdir()
        if publication.figures_only:
            write_metadata(metadata | {"weights": None, "files": {}, "golden": None}, folder)
        else:
            metadata["metrics"]["rounding"] = largest_change(run, copy, publication)
            write_entry(metadata, copy.model, folder)
        verify_entry(folder, metadata_sha256=None)
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)
    index = json.loads(publication.index.read_text(encoding="utf-8"))
    # What can be fetched: of figures alone there is nothing.
    index.pop(f"{run.recipe.entry}/{publication.name}", None)
    if not publication.figures_only:
        index[f"{run.recipe.entry}/{publication.name}"] = sha256_of(target / METADATA)
    publication.index.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(target)
    return target


def copy_run(run, folder, rounded):
    """A copy of a run, not calibrated; the kernels of its network those that float16 holds, if so asked."""
    shutil.copytree(run.path, folder, ignore=shutil.ignore_patterns("checkpoints", "tensorboard", "last*"))
    (folder / CALIBRATION).unlink(missing_ok=True)
    copy = Run.open(folder)
    if rounded:
        halve_kernels(copy.model)
        copy.model.save(folder / MODEL)
    return copy


def same_but_for_its_seed(repeat, run):
    """`repeat`, if it is finished and its recipe and manifest are those of `run`, all but the seed.

    Raises:
        SemenetError: it differs elsewhere.
    """
    same = dataclasses.replace(repeat.recipe, seed=run.recipe.seed) == run.recipe
    data = repeat.record["manifest_sha256"] == run.record["manifest_sha256"]
    if not (same and data and repeat.record.get("status") == "finished"):
        raise SemenetError(
            "A repeat is a training that has ended, of the same recipe on the same manifest. Received: "
            f"{repeat.path} beside {run.path}. Give runs that differ in --seed alone."
        )
    return repeat


def by_seed(publication, metadata, run, repeats, work):
    """The main figures of a run and of its repeats: dict of figure to dict of seed to float."""
    seeds = [run.recipe.seed, *(repeat.recipe.seed for repeat in repeats)]
    if len(set(seeds)) < len(seeds):
        raise SemenetError(f"Each repeat has a seed of its own. Received: {seeds}. Leave out what is twice.")
    measured = {run.recipe.seed: metadata["metrics"]["figures"]}
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


def describe(publication, about, run, copy, work):
    """The metadata but for what depends on the files written, measured on a copy of the run: dict."""
    manifest = read_manifest(publication.manifest, need=("mask",) if run.segments else ("label",))
    if run.record["manifest_sha256"] != manifest.sha256:
        raise SemenetError(
            "Weights are described beside the manifest they were trained with, whose hash the run has. "
            f"Received: {publication.manifest}. Give that manifest."
        )
    rows = manifest.split(publication.split)
    calibration, measured = calibrate_and_measure(copy, publication, work / "evaluation")
    audited = None
    if not run.segments and (publication.lungs is not None or LungMasks().covered(rows).all()):
        where = {"batch_size": publication.batch_size, "lungs": publication.lungs}
        audited = audit(copy.path, publication.manifest, work / "audit", publication.split, **where)
    start, recipe = run.record["starts"][0], run.recipe
    taken = architecture_arguments(recipe.entry)
    return {
        "format": 1,
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
            "architecture": {name: value for name, value in recipe.architecture.items() if name in taken},
            "parameters": run.model.count_params(),
        },
        "calibration": calibration,
        "metrics": {
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
        "audit": audited and {key: audited[key] for key in ("verdict", "words", "split", "count", "masks")},
    }


def calibrate_and_measure(copy, publication, folder):
    """What metadata hold of a copy's calibration, None where it segments, and what `evaluate` returns."""
    where = {"batch_size": publication.batch_size, "lungs": publication.lungs}
    calibration = None
    if not copy.segments:
        calibration = calibrate(copy.path, publication.manifest, publication.split, **where)
        calibration = {
            name: calibration[name] for name in sorted(calibration.keys() - {"command", "versions"})
        }
    return calibration, evaluate(copy.path, publication.manifest, publication.split, folder, **where)


def largest_change(run, rounded, publication):
    """How far rounding moves an output at most, on all images of a split: float."""
    rows = read_manifest(publication.manifest, need=()).split(publication.split)
    masks = LungMasks.of(publication.lungs)
    before, after = (scorer(one, calibrated=False) for one in (run, rounded))
    images = track(masks.fed(rows, run, publication.batch_size), len(rows), "Comparing")
    return max(float(np.abs(before(batch) - after(batch)).max()) for batch in images)


def write_entry(metadata, model, folder):
    """Writes weights, golden output, metadata.json and card.md into a folder."""
    files = write_compact(model, folder)
    metadata |= {"weights": files[0].name, "files": {}, "golden": {}}
    _add_files(metadata, files)
    (folder / METADATA).write_text(json.dumps(metadata))
    images = golden_input(read_published(folder / METADATA))
    np.savez_compressed(folder / GOLDEN, output=golden_output(model, images))
    _add_files(metadata, [folder / GOLDEN])
    metadata["golden"] = {
        "input": {"labels": list(LABELS), "seed": SEED, "sha256": digest(images)},
        "file": GOLDEN,
        "tolerance": TOLERANCE,
    }
    write_metadata(metadata, folder)


def write_metadata(metadata, folder):
    """Writes metadata.json, and the card that is made of it."""
    (folder / METADATA).write_text(
        json.dumps(metadata, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "card.md").write_text(zoo_card.render(metadata), encoding="utf-8")


def portable(command):
    """A command as another machine would give it: of the script and of absolute paths the last two parts, of
    --out the last."""
    script, *arguments = shlex.split(command)
    words = ["python", "/".join(pathlib.PurePath(script).parts[-2:]), *arguments]
    parts = [pathlib.PurePath(word).parts if word.startswith("/") else None for word in words]
    return shlex.join(
        word if part is None else "/".join(part[-1:] if before == "--out" else part[-2:])
        for before, word, part in zip(["", *words], words, parts, strict=False)
    )


def _add_files(metadata, files):
    for file in files:
        metadata["files"][file.name] = {"sha256": sha256_of(file), "bytes": file.stat().st_size}


def _changelog(publication, entry):
    earlier = publication.out / entry / publication.name / METADATA
    return json.loads(earlier.read_text(encoding="utf-8"))["changelog"] if earlier.exists() else {}


def _fed(run, lungs):
    if run.segments or not run.lungs_alone:
        return "whole images"
    return "lungs alone, by the manifest's masks" if lungs is None else f"lungs alone, by {lungs}"


def _of_subgroup(of):
    return {"count": of["count"], "figures": _figures(of["figures"], of["intervals"], _FIGURES)}


def _figures(values, intervals, names=None):
    names = [name for name in intervals if names is None or name in names]
    return {name: {"value": _value(values, name), "interval": intervals[name]} for name in names}


def _value(values, name):
    for part in [name] if name in values else name.split("."):
        values = values[part]
    return values


if __name__ == "__main__":
    keras.config.set_dtype_policy("float32")
    main()
