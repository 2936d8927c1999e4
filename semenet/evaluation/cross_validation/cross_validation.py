"""Cross-validates a recipe: trains it once for each fold and reports the images that were held out."""

import datetime
import json
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from semenet.data.manifest.table import Manifest, ManifestError, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.cross_validation.fold_training import (
    FoldResult,
    FoldSettings,
    is_finished,
    read_fold,
    run_fold,
)
from semenet.evaluation.cross_validation.folds import BY_PATIENT, Fold, draw_folds
from semenet.evaluation.cross_validation.pooled_metrics import average_over_folds, measure_fold, pool
from semenet.evaluation.cross_validation.series_folder import (
    check_plan,
    describe_plan,
    fold_folder,
    write_plan,
)
from semenet.evaluation.cross_validation.series_report import render_series
from semenet.evaluation.cross_validation.source_contrasts import source_contrasts
from semenet.evaluation.measure.classification import default_subgroups
from semenet.evaluation.measure.subgroups import subgroup_means, subgroup_metrics
from semenet.metrics.patient_resamples import check_resamples
from semenet.storage.atomic import check_output_folder, write_together
from semenet.storage.csv_cells import csv_text
from semenet.training.options import DataOptions, RunOptions
from semenet.training.recipe import Recipe, find_recipe
from semenet.training.run_folder.record import package_versions
from semenet.training.run_folder.run import Run
from semenet.training.run_folder.run_folder_setup import locked_run_folder

FORMAT = 1


def cross_validate(
    recipe: Recipe | str,
    manifest: str | os.PathLike,
    out: str | os.PathLike,
    *,
    by: str = BY_PATIENT,
    folds: int = 5,
    leave_out: Sequence[str] | None = None,
    splits: Sequence[str] = ("train", "val"),
    val_share: float = 0.15,
    fold_seed: int = 0,
    root: str | os.PathLike | None = None,
    data: DataOptions = DataOptions(),
    options: RunOptions = RunOptions(),
    lungs: str | os.PathLike | None = None,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Trains a recipe once for each fold and reports the images that each fold held out.

    Nothing is chosen on the images that are reported. In each fold, the images that are not held out are
    split once more by patient: a network is trained on one part, its best epoch and its temperature are
    chosen on the other, and the held-out images are only predicted.

    A call with the same arguments resumes a series that was killed: finished folds are kept, and a fold that
    was being trained goes on from its last checkpoint.

    Args:
        recipe: the recipe, or the name of a committed one, such as "seme_resnet50".
        manifest: path of a CSV file with the columns `file, label, patient` (for a segmentation network
            `mask` instead of `label`), and the column of `by`.
        out: the folder of the series: a new or empty folder, or that of the same series. It receives
            `report.html`, `metrics.json`, `predictions.csv` of all held-out images, and for each fold a
            folder in `folds` with its manifest, its run folder, and its own evaluation.
        by: "patient" for folds of whole patients, stratified by label and source; another column, such as
            "source", to leave out each of its values in turn.
        folds: the number of folds by patient.
        leave_out: the values of `by` to leave out, each in turn; None for all.
        splits: the rows with one of these values in the column `split` are drawn anew. Rows of other splits
            are neither trained on nor predicted. All rows, where the manifest has no such column.
        val_share: share of the images that are not held out, on which epoch and temperature are chosen.
        fold_seed: the seed of the folds. The recipe's own seed does not change them.
        root: folder that the manifest's relative paths start from; None for the manifest's own folder.
        data: what to do with unreadable files, and where to cache images.
        options: determinism, checkpoints and devices, for one process.
        lungs: for networks that are fed the lungs, the run of a U-Net that finds them in evaluation; None
            for the manifest's masks.
        resamples: number of bootstrap resamples of the patients, for the intervals.

    Returns:
        dict, the content of metrics.json: `pooled` metrics of all held-out images, `mean` over the folds,
        `folds`, `subgroups`, and for a left-out column `contrasts`, as docs/evaluation.md describes them.

    Raises:
        ManifestError: the manifest cannot be used, or a fold cannot be drawn.
        RunFolderError: `out` holds something else, or was started with other arguments.
        SemenetError: an argument is out of range; or as for `semenet.train` and `semenet.evaluate`.

    Example:
        >>> import dataclasses
        >>> recipe = semenet.training.find_recipe("vgg19_gap")
        >>> recipe = dataclasses.replace(recipe, input_size=32, width=0.125, depth=0.01, epochs=1)
        >>> found = semenet.cross_validate(recipe, "manifest.csv", "series", folds=2, resamples=200)
        >>> found["pooled"]["count"], [fold["test"]["images"] for fold in found["folds"]]
        (36, [18, 18])
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    out = pathlib.Path(out)
    check_resamples(resamples)
    _check_options(options)
    required = ("mask",) if recipe.segments else ("label",)
    table = read_manifest(manifest, root, required=required, require_split=False)
    classes = () if recipe.segments else recipe.classes
    drawn = draw_folds(
        _rows_of(table, splits),
        by,
        folds=folds,
        leave_out=leave_out,
        classes=classes,
        val_share=val_share,
        seed=fold_seed,
    )
    warnings = _check_networks(recipe, table)
    lungs = None if lungs is None else str(lungs)
    settings = {
        "splits": list(splits),
        "val_share": val_share,
        "fold_seed": fold_seed,
        "lungs": lungs,
        "resamples": resamples,
        "on_error": data.on_error,
        "skip_at_most": data.skip_at_most,
    }
    plan = describe_plan(recipe, table, by, drawn, settings)
    check_plan(out, plan)
    check_output_folder(out)
    shared = FoldSettings(recipe, pathlib.Path(root or table.path.parent), data, options, lungs, resamples)
    with locked_run_folder(out):
        if not check_plan(out, plan):
            write_plan(out, plan)
        results = _run_folds(out, drawn, by, shared)
        result = _measure(results, by, table, resamples)
        result |= {
            "plan": plan,
            "warnings": warnings,
            "command": shlex.join(sys.argv),
            "versions": package_versions(),
        }
        pooled = pool(results)
        contents = {
            "predictions.csv": csv_text(pooled.rows),
            "report.html": render_series(result, pooled, datetime.datetime.now(datetime.UTC)),
            "metrics.json": json.dumps(result, indent=2, allow_nan=False) + "\n",
        }
        write_together({out / name: text.encode() for name, text in contents.items()})
    return result


def _rows_of(table: Manifest, splits: Sequence[str]) -> pd.DataFrame:
    """Returns the rows to draw folds from."""
    if "split" not in table.rows:
        return table.rows
    rows = table.rows[table.rows["split"].isin(splits)].reset_index(drop=True)
    if rows.empty:
        raise ManifestError(
            f"Folds are drawn from the splits {', '.join(splits)}. Received: {table.path}, which has "
            f"{', '.join(sorted(set(table.rows['split'])))}. Pass the splits to use."
        )
    return rows


def _check_options(options: RunOptions) -> None:
    if options.distribute == "data_parallel":
        raise SemenetError(
            "The folds of a cross-validation are trained by one process. Received: distribute="
            "'data_parallel'. Use 'none' or 'mirrored'."
        )


def _check_networks(recipe: Recipe, table: Manifest) -> list[str]:
    """Refuses other networks that were trained on the manifest; returns warnings about the others."""
    warnings = []
    for option, network in (("weights", recipe.weights), ("teacher", recipe.teacher)):
        if network in (None, "imagenet"):
            continue
        name = network
        if option == "weights" and not pathlib.Path(network).exists():
            name = f"{recipe.entry}:{network}"
        if Run.open(name).record.get("manifest_sha256") == table.sha256:
            raise SemenetError(
                "A network that was trained on this manifest has seen the images that the folds hold out. "
                f"Received: {option} {network}. Start without it, or from a network of other data."
            )
        warnings.append(
            f"All folds start from the {option} {network}: whether that network was trained on patients who "
            "are held out here was not checked."
        )
    return warnings


def _run_folds(out: pathlib.Path, drawn: Sequence[Fold], by: str, shared: FoldSettings) -> list[FoldResult]:
    """Runs the folds that are not finished yet, and says how far the series is."""
    folders = [fold_folder(out, number, fold) for number, fold in enumerate(drawn, start=1)]
    finished = [is_finished(folder) for folder in folders]
    print(f"{out}: {len(drawn)} folds, {sum(finished)} of them finished", file=sys.stderr)
    seconds = []
    for number, (fold, folder) in enumerate(zip(drawn, folders, strict=True), start=1):
        if finished[number - 1]:
            continue
        counts = ", ".join(f"{split} {count['images']}" for split, count in fold.counts().items())
        name = "" if by == BY_PATIENT else f", without {by} {fold.name}"
        print(f"Fold {number} of {len(drawn)}{name}: images: {counts}", file=sys.stderr)
        began = time.monotonic()
        run_fold(fold, folder, shared)
        seconds.append(time.monotonic() - began)
        remaining = (len(drawn) - sum(finished) - len(seconds)) * sum(seconds) / len(seconds)
        print(
            f"Fold {number} of {len(drawn)} finished in {seconds[-1] / 60:.1f} min; "
            f"about {remaining / 60:.0f} min to go",
            file=sys.stderr,
        )
    return [read_fold(fold, folder) for fold, folder in zip(drawn, folders, strict=True)]


def _measure(results: Sequence[FoldResult], by: str, table: Manifest, resamples: int) -> dict[str, Any]:
    pooled = pool(results)
    measured = [measure_fold(result, resamples) for result in results]
    # The columns of the manifest that predictions.csv does not have.
    rows = table.rows.set_index("file").loc[pooled.rows["file"]].reset_index()
    columns = default_subgroups(rows)
    if pooled.class_names:
        arrays = pooled.possible, pooled.probabilities, pooled.class_names
        groups = subgroup_metrics(*arrays, rows, columns, resamples)
    else:
        groups = subgroup_means(pooled.scores, rows, columns, resamples)
    return {
        "format": FORMAT,
        "class_names": list(results[0].metrics["class_names"]),
        "network": results[0].metrics["network"],
        "by": by,
        "pooled": pooled.measure(resamples),
        "mean": average_over_folds(results, measured, resamples),
        "folds": measured,
        "contrasts": source_contrasts(results, resamples) if pooled.class_names and by != BY_PATIENT else [],
        "subgroups": groups,
        "chosen_on": {
            "epoch": "the inner split of each fold",
            "temperature": "the inner split of each fold" if pooled.class_names else None,
            "held-out images": None,
        },
        "interval_method": f"95 % percentile interval, {resamples} bootstrap resamples of the patients",
    }
