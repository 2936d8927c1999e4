"""Evaluates a trained network on one split of a manifest and writes the results."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from semenet import metrics
from semenet.data.checks.screening import ON_ERROR
from semenet.data.manifest.class_labels import possible_classes
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.synthetic_rows import count_phantoms
from semenet.data.pipeline.datasets import evaluation_dataset
from semenet.data.pipeline.tf_data import unwrapped_errors
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.evaluation.drawing.example_sheets import grad_cam_sheet, outline_sheet
from semenet.evaluation.explanation.heat_map_analysis import analyse_heat_maps
from semenet.evaluation.findings_evaluation import evaluate_findings
from semenet.evaluation.measure.choices import evidence_of
from semenet.evaluation.measure.classification import default_subgroups, measure_classification
from semenet.evaluation.measure.predictions import Predictions
from semenet.evaluation.measure.screened_rows import rows_to_evaluate
from semenet.evaluation.measure.subgroups import subgroup_means, subgroups
from semenet.evaluation.report.page_files import write_report_and_card
from semenet.evaluation.report.sections import classification_sections, segmentation_sections
from semenet.evaluation.shortcut_audit.saved_audit import read_audit
from semenet.inference.heat_maps.explained_layers import LAST
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function, scoring_function_with_maps
from semenet.metrics.patient_bootstrap import mean_intervals
from semenet.metrics.patient_resamples import check_resamples
from semenet.progress import track
from semenet.storage.atomic import check_output_folder, output_folder, write_together
from semenet.storage.csv_cells import csv_text
from semenet.training.run_folder.record import package_versions
from semenet.training.run_folder.run import Run

# Layout version of metrics.json; raised when a reader of the previous layout would misread the file.
FORMAT = 2


def evaluate(
    run: Run | keras.Model | str | pathlib.Path,
    manifest: str | pathlib.Path,
    split: str = "val",
    *,
    out: str | pathlib.Path,
    root: str | pathlib.Path | None = None,
    batch_size: int = 16,
    on_error: str = "raise",
    skip_at_most: float = 0.05,
    tta: int = 1,
    by: str | Sequence[str] | None = None,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
    audit: str | pathlib.Path | None = None,
    resamples: int = 2000,
    map_method: str | None = None,
    map_layer: str | int = LAST,
) -> dict[str, Any]:
    """Evaluates a network on a split: writes `metrics.json`, `predictions.csv`, `report.html` and `card.md`.

    metrics.json holds the metrics of `semenet.metrics.classification` with `brier` and `ece` (for a
    segmentation network those of `semenet.metrics.mean_overlap`), nested values under dotted keys too
    (`per_class.normal.f1`), their confidence intervals over patients, calibration, operating points,
    subgroups, where the heat maps lie, and the provenance of the results. `metrics.schema.json` in this
    package is its JSON schema, docs/evaluation.md its description. predictions.csv has one row per image:
    file, patient, label, predicted and one column per class (segmentation: file, patient, dice, iou,
    mean_iou, hausdorff95). Segmentations are evaluated at the network's input size, with distances in its
    pixels. Existing files are replaced, all together, once the whole split has been evaluated, so the four
    files always belong together.

    Args:
        run: a run folder, a `.keras` file, published weights (`<entry>:<name>`), a `Run`, or a network in
            memory.
        manifest: path of the manifest's CSV.
        split: the split to evaluate, such as "val".
        out: the folder to write to; created if missing.
        root: the folder that the manifest's paths are relative to; None for the CSV's own.
        batch_size: number of images predicted at a time.
        on_error: "raise" stops at the first unreadable file (if it is a lung mask that is only needed to
            locate the heat maps, before the evaluation starts); "skip" checks all files first, evaluates
            the readable ones, and lists the others in metrics.json and the report.
        skip_at_most: the largest share of the rows, in [0, 1], that may be skipped.
        tta: test-time augmentation: over how many fixed views of each image the probabilities are averaged,
            as for `semenet.inference.scoring.scoring_function`.
        by: one or several manifest columns to evaluate subgroups by; None for source, view, sex and age,
            where they have more than one value.
        lungs: the run of a U-Net that segments the lungs; None for the manifest's masks, if any. The masks
            show whether the heat maps lie in the lungs, and are the input of a network that takes lungs
            alone.
        audit: folder of an earlier `semenet audit` of this network, for the report; or None.
        resamples: number of bootstrap resamples of the patients, for the intervals.
        map_method: the method of the heat maps, as for `semenet.heat_map`; None for class activation maps,
            or Grad-CAM where the head or the layer does not allow them.
        map_layer: name or stride of the layer that the heat maps show.

    Returns:
        dict, the content of metrics.json.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or contains a label that the network
            does not know.
        ImageError: an image or mask cannot be read, or too many cannot.
        WeightsError: the run does not exist, or its network cannot be loaded.
        RunFolderError: its calibration is damaged, or belongs to another network.
        SemenetError: the network returns logits or NaN; unknown `on_error`; invalid `tta`; a missing
            column; an audit of another network; or lung masks are needed and missing.

    Example:
        >>> found = semenet.evaluate("run", "manifest.csv", "test", out="evaluation", resamples=200)
        >>> 0 <= found["accuracy"] <= 1
        True
        >>> found["class_names"]
        ['normal', 'bacteria', 'virus']
    """
    if on_error not in ON_ERROR:
        raise SemenetError(
            f"`on_error` must be one of {', '.join(ON_ERROR)}. Received: {on_error!r}. "
            "Use 'skip' to continue after unreadable files."
        )
    by = (by,) if isinstance(by, str) else by
    opened = Run.open(run)
    check_output_folder(out)
    model_sha256 = opened.sha256
    check_resamples(resamples)
    score = scoring_function(opened, tta) if opened.segments else scoring_function_with_maps(opened, tta)
    masks = LungMasks.open(lungs)
    several = not opened.segments and opened.activation == "sigmoid"
    needed = ("mask",) if opened.segments else () if several else ("label",)
    table = read_manifest(manifest, root, required=needed)
    rows = table.split(split)
    audited = None if audit is None else read_audit(audit, model_sha256, table.sha256)
    # Before the evaluation starts: a missing column, or a mask that is needed.
    subgroups(rows, by or ())
    if opened.needs_lungs:
        masks.check_available(rows)
    folder = output_folder(out)
    rows, skipped = rows_to_evaluate(opened, rows, masks, on_error, skip_at_most)
    if opened.segments:
        measured = _evaluate_segmentation(opened, rows, batch_size, score, by, resamples)
    elif several:
        measured = _Measured(*evaluate_findings(opened, rows, batch_size, score, by, resamples, masks))
    else:
        chosen_maps = (map_method, map_layer)
        measured = _evaluate_classification(
            opened, rows, batch_size, score, by, resamples, masks, chosen_maps
        )
    result = (
        metrics.add_dotted_keys(measured.values)
        | measured.details
        | {
            "format": FORMAT,
            "network": opened.model.name,
            "split": split,
            "manifest_sha256": table.sha256,
            "model_sha256": model_sha256,
            "patients": int(rows["patient"].nunique()),
            "interval_method": f"95 % percentile interval, {resamples} bootstrap resamples of the patients",
            "skipped": skipped.to_dict("records"),
            **({"synthetic_images": phantoms} if (phantoms := count_phantoms(rows)) else {}),
            **evidence_of(opened, table, split),
            "tta": tta,
            "audit": audited and {name: audited[name] for name in ("verdict", "words", "split")},
            "command": command_line(
                "evaluate",
                opened.name,
                manifest=manifest,
                split=split,
                out=folder,
                root=root,
                batch_size=batch_size,
                on_error=None if on_error == "raise" else on_error,
                skip_at_most=None if on_error == "raise" else skip_at_most,
                tta=None if tta == 1 else tta,
                by=by,
                lungs=masks.run and masks.run.name,
                audit=audit,
                resamples=None if resamples == 2000 else resamples,
                map_method=map_method,
                map_layer=None if map_layer == LAST else map_layer,
            ),
            "versions": package_versions(),
        }
    )
    contents = {
        "predictions.csv": csv_text(measured.predictions),
        "metrics.json": json.dumps(result, indent=2, allow_nan=False) + "\n",
    }
    write_together({folder / name: text.encode() for name, text in contents.items()})
    write_report_and_card(folder, opened, table, result, measured.sections, audited)
    return result


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What was measured on a split.

    Attributes:
        values: metrics by name.
        details: further keys of metrics.json, such as the intervals.
        predictions: the table of predictions.csv.
        sections: draws the sections of the report that depend on the kind of network.
    """

    values: dict[str, Any]
    details: dict[str, Any]
    predictions: pd.DataFrame
    sections: Callable[[], Mapping[str, Any]]


def _evaluate_classification(
    run: Run,
    rows: pd.DataFrame,
    batch_size: int,
    score: Callable[..., Any],
    by: Sequence[str] | None,
    resamples: int,
    masks: LungMasks,
    maps: tuple[str | None, str | int],
) -> _Measured:
    possible = possible_classes(rows, run.class_names)
    predictions = Predictions(run, rows, score, masks, batch_size, *maps)
    probabilities = predictions.probabilities
    values, details = measure_classification(run, rows, possible, probabilities, by, resamples)
    names = np.array(run.class_names, dtype=object)
    table = pd.concat(
        [
            rows[["file", "patient", "label"]],
            pd.Series(names[predictions.predicted], name="predicted"),
            pd.DataFrame(probabilities, columns=list(run.class_names)),
        ],
        axis=1,
    )
    if predictions.flags is not None:
        table["lung_flags"] = predictions.flags
        details["lungs"] = predictions.lungs
    details["where"] = analyse_heat_maps(run, rows, predictions, masks, batch_size)

    def draw() -> dict[str, Any]:
        cards, cells = grad_cam_sheet(run, rows, possible, predictions)
        return classification_sections(values, details, possible, probabilities, cards, cells)

    return _Measured(values, details, table, draw)


def _evaluate_segmentation(
    run: Run,
    rows: pd.DataFrame,
    batch_size: int,
    score: Callable[..., Any],
    by: Sequence[str] | None,
    resamples: int,
) -> _Measured:
    def load(chosen: pd.DataFrame) -> tf.data.Dataset:
        return evaluation_dataset(
            chosen,
            input_size=run.input_size,
            channels=run.channels,
            batch_size=batch_size,
            inference_clahe=run.inference_clahe,
            masks=True,
        )

    with unwrapped_errors():
        batches = track(load(rows), len(rows), "Predicting", size=lambda batch: len(batch[0]))
        parts = [
            metrics.overlap(masks.numpy(), score(images).numpy(), surface=True) for images, masks in batches
        ]
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values = metrics.mean_overlap(scores)
    columns = default_subgroups(rows) if by is None else list(by)
    details = {
        "class_names": list(run.class_names),
        "intervals": mean_intervals(scores, rows["patient"].to_numpy(), resamples),
        "subgroups": subgroup_means(scores, rows, columns, resamples),
    }
    table = pd.concat([rows[["file", "patient"]], pd.DataFrame(scores)], axis=1)

    def draw() -> dict[str, Any]:
        return segmentation_sections(values, details, scores, outline_sheet(rows, scores, score, load))

    return _Measured(values, details, table, draw)
