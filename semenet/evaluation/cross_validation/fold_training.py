"""Trains, calibrates and evaluates one fold; a fold that was interrupted goes on."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.manifest.table import write_manifest
from semenet.evaluation.cross_validation.folds import Fold
from semenet.evaluation.measure.calibration import calibrate
from semenet.evaluation.measure.saved_predictions import SavedPredictions
from semenet.evaluation.split_evaluation import evaluate
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function
from semenet.progress import track
from semenet.storage.atomic import output_folder, replacing
from semenet.storage.csv_cells import csv_text
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import TEXTS, JsonError, object_schema, read_json
from semenet.training.loop.fit import train
from semenet.training.options import DataOptions, RunOptions
from semenet.training.recipe import Recipe
from semenet.training.run_folder.file_names import MODEL
from semenet.training.run_folder.record import RunFolderError
from semenet.training.run_folder.run import Run

MANIFEST = "manifest.csv"
RUN = "run"
EVALUATION = "evaluation"
METRICS = "metrics.json"
INNER = "val_predictions.csv"


@dataclasses.dataclass(frozen=True)
class FoldSettings:
    """What all folds of a series share.

    Attributes:
        recipe: the recipe.
        root: the folder that the paths of the manifest are relative to.
        data: how a run reads its data.
        options: how a run is carried out.
        lungs: the run of a U-Net for networks that are fed the lungs; None for the manifest's masks.
        resamples: number of bootstrap resamples of the patients.
    """

    recipe: Recipe
    root: pathlib.Path
    data: DataOptions
    options: RunOptions
    lungs: str | None
    resamples: int


@dataclasses.dataclass(frozen=True, eq=False)
class FoldResult:
    """What a finished fold gives to the report.

    Attributes:
        fold: the fold.
        folder: its folder.
        held_out: the predictions of the images that were held out.
        inner: the predictions of the images that epoch and temperature were chosen on; None for a
            segmentation network.
        metrics: the content of its metrics.json.
        best_epoch: the epoch that was chosen.
    """

    fold: Fold
    folder: pathlib.Path
    held_out: SavedPredictions
    inner: SavedPredictions | None
    metrics: dict[str, Any]
    best_epoch: int


def is_finished(folder: pathlib.Path) -> bool:
    """Returns whether a fold's network has been evaluated, and has not changed since."""
    file, model = folder / EVALUATION / METRICS, folder / RUN / MODEL
    if not (file.is_file() and model.is_file()):
        return False
    return _read_metrics(file)["model_sha256"] == file_sha256(model)


def run_fold(fold: Fold, folder: pathlib.Path, settings: FoldSettings) -> None:
    """Trains a fold on `train`, chooses epoch and temperature on `val`, and predicts `test`.

    Args:
        fold: the fold.
        folder: its folder. It receives manifest.csv, the run folder `run`, val_predictions.csv, and the
            folder `evaluation` of `semenet evaluate`.
        settings: what all folds share.

    Raises:
        SemenetError: as for `semenet.train`, `semenet.calibrate` and `semenet.evaluate`.
    """
    manifest = output_folder(folder) / MANIFEST
    write_manifest(fold.rows, manifest)
    run = train(
        settings.recipe,
        manifest,
        folder / RUN,
        root=settings.root,
        data=settings.data,
        options=settings.options,
    )
    if not settings.recipe.segments:
        calibrate(run.path, manifest, "val", root=settings.root, lungs=settings.lungs)
        _predict_inner(fold, folder, settings)
    evaluate(
        run.path,
        manifest,
        "test",
        out=folder / EVALUATION,
        root=settings.root,
        on_error=settings.data.on_error,
        skip_at_most=settings.data.skip_at_most,
        lungs=settings.lungs,
        resamples=settings.resamples,
    )


def read_fold(fold: Fold, folder: pathlib.Path) -> FoldResult:
    """Reads what a finished fold has written."""
    run = Run.open(folder / RUN)
    found = _read_metrics(folder / EVALUATION / METRICS)
    names = () if run.recipe.segments else tuple(found["class_names"])
    inner = None
    if names:
        inner = SavedPredictions.read_file(folder / INNER, names)
    held_out = SavedPredictions.read(folder / EVALUATION, names)
    return FoldResult(fold, folder, held_out, inner, found, run.record["best_epoch"])


def _read_metrics(file: pathlib.Path) -> dict[str, Any]:
    """Reads the metrics.json of a fold."""
    try:
        return read_json(file, object_schema({"model_sha256": {"type": "string"}}, {"class_names": TEXTS}))
    except (OSError, JsonError) as error:
        raise RunFolderError(
            "A fold's metrics.json must be the one that `semenet evaluate` wrote. "
            f"Received: {file}: {error}. Delete its folder; the same command evaluates it again."
        ) from error


def _predict_inner(fold: Fold, folder: pathlib.Path, settings: FoldSettings) -> None:
    """Writes the calibrated probabilities of the images that epoch and temperature were chosen on."""
    # Opened again, because the run has a calibration now.
    run = Run.open(folder / RUN)
    rows = fold.part("val")
    skipped = {row["file"] for row in run.record["skipped"]}
    rows = rows[~rows["file"].isin(skipped)].reset_index(drop=True)
    score, masks = scoring_function(run), LungMasks.open(settings.lungs)
    batches = track(masks.network_inputs(rows, run, 16), len(rows), "Predicting the inner split")
    probabilities = np.concatenate([np.asarray(score(images)) for images in batches])
    table = pd.concat(
        [rows[["file", "patient", "label"]], pd.DataFrame(probabilities, columns=list(run.class_names))],
        axis=1,
    )
    with replacing(folder / INNER) as temporary:
        temporary.write_bytes(csv_text(table).encode())
