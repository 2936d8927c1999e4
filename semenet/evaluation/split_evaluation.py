"""Measures a trained network on one split of a manifest, and reports it."""

import datetime
import json

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.checks.screening import ON_ERROR, screen_masks, screen_rows
from semenet.data.images.jpeg_png import ImageError
from semenet.data.manifest.table import label_index, read_manifest
from semenet.data.pipeline.datasets import evaluation_dataset, unwrapped_errors
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.evaluation.drawing import example_sheets as sheets
from semenet.evaluation.explanation.heat_maps_of_split import look
from semenet.evaluation.measure.classification import measure_classification, usual_subgroups
from semenet.evaluation.measure.predictions import Predictions
from semenet.evaluation.measure.subgroups import subgroup_means, subgroups
from semenet.evaluation.report import card, report, sections
from semenet.evaluation.shortcut_audit.earlier_audit import read_audit
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function, scoring_function_with_maps
from semenet.metrics.patient_bootstrap import check_resamples, mean_intervals
from semenet.progress import show_steps, track
from semenet.storage.atomic import check_output_folder, output_folder, write_together
from semenet.training.run_folder.run import Run
from semenet.training.run_folder.run import versions as run_versions

# The layout of metrics.json; raised when a reader of the last one would misread it.
FORMAT = 2


def evaluate(
    run_path,
    manifest_path,
    split,
    out,
    root=None,
    batch_size=16,
    *,
    on_error="raise",
    skip_at_most=0.05,
    tta=1,
    by=None,
    lungs=None,
    audit=None,
    resamples=2000,
):
    """Measures a run on a split: writes `metrics.json`, `predictions.csv`, `report.html` and `card.md`.

    metrics.json has the figures of `semenet.metrics.classification` with `brier` and `ece` (for a
    segmentation network those of `semenet.metrics.mean_overlap`), nested figures under dotted keys too
    (`per_class.normal.f1`), intervals of them over patients, calibration, operating points, subgroups, where
    the network looks, and what the figures were made of; `metrics.schema.json` in this package is its JSON
    schema, docs/evaluation.md its description. predictions.csv has a row an image: file, patient, label,
    predicted and a column a class (segmentation: file, patient, dice, iou, mean_iou, hausdorff95).
    Segmentations are measured at the network's input size, distances in its pixels. Files that exist are
    replaced, all together, once the whole split is measured: beside a metrics.json stands what belongs to it.

    Args:
        run_path: a run folder, or a bare `.keras` file.
        manifest_path: the manifest's CSV.
        split: the split to measure, such as "val".
        out: the folder to write to; made if absent.
        root: the folder that the manifest's paths start from; None for the CSV's own.
        batch_size: int, images predicted at a time.
        on_error: "raise" stops at the first file that cannot be read, and before the work where it is a
            mask that only says where the network looks; "skip" tries all first, measures on those that can
            be read, and lists the others in metrics.json and the report.
        skip_at_most: the share of the rows, in [0, 1], that may be left out.
        tta: int, test-time augmentation: how many fixed views of each image the probabilities are averaged
            over, as for `semenet.inference.scoring.scoring_function`.
        by: names of manifest columns to measure subgroups by; None for source, view, sex and age, those of
            them that tell the images apart.
        lungs: the run of a U-Net that finds the lungs; None for the manifest's masks, if it has any. They say
            where the network looks, and are what a network that is fed lungs alone gets.
        audit: folder of an earlier `semenet audit` of this network, for the report; or None.
        resamples: int, of the patients, for the intervals.

    Returns:
        dict, the content of metrics.json.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or a label that the network
            does not know.
        ImageError: an image or mask cannot be read, or too many cannot.
        WeightsError: there is no run, or its network cannot be loaded.
        RunFolderError: its calibration is broken, or of another network.
        ValueError: the network gives logits, or NaN; another `on_error`; a `tta` that there is not, or not
            for this network; a column that there is not; an audit of another network; or lung masks are
            needed and absent.
    """
    if on_error not in ON_ERROR:
        raise SemenetError(
            f"`on_error` must be one of {', '.join(ON_ERROR)}. Received: {on_error!r}. "
            "Use 'skip' to go on past bad files."
        )
    run = Run.open(run_path)
    check_output_folder(out)
    model_sha256 = run.sha256
    check_resamples(resamples)
    score = scoring_function(run, tta) if run.segments else scoring_function_with_maps(run, tta)
    masks = LungMasks.open(lungs)
    manifest = read_manifest(manifest_path, root, required=("mask",) if run.segments else ("label",))
    rows = manifest.split(split)
    audited = None if audit is None else read_audit(audit, model_sha256, manifest.sha256)
    # Before the work: a column that is not there, or a mask that is needed.
    subgroups(rows, by or ())
    if not run.segments and run.lungs_alone:
        masks.check_available(rows)
    out = output_folder(out)
    rows, skipped = _screened(run, rows, masks, on_error, skip_at_most)
    arguments = (run, rows, batch_size, score, by, resamples)
    if run.segments:
        figures, details, table, shown = _segmentation(*arguments)
    else:
        figures, details, table, shown = _classification(*arguments, masks)
    versions = run_versions()
    result = (
        metrics.flat(figures)
        | details
        | {
            "format": FORMAT,
            "network": run.model.name,
            "split": split,
            "manifest_sha256": manifest.sha256,
            "model_sha256": model_sha256,
            "patients": int(rows["patient"].nunique()),
            "interval_method": f"95 % percentile interval, {resamples} resamples of the patients",
            "skipped": skipped.to_dict("records"),
            "tta": tta,
            "audit": audited and {name: audited[name] for name in ("verdict", "words", "split")},
            "command": command_line(
                "evaluate",
                run_path,
                manifest=manifest_path,
                split=split,
                out=out,
                root=root,
                batch_size=batch_size,
                on_error=None if on_error == "raise" else on_error,
                skip_at_most=None if on_error == "raise" else skip_at_most,
                tta=None if tta == 1 else tta,
                by=by,
                lungs=lungs,
                audit=audit,
                resamples=None if resamples == 2000 else resamples,
            ),
            "versions": versions,
        }
    )
    date = datetime.datetime.now(datetime.UTC)
    page = report.render(run=run, manifest=manifest, result=result, sections=shown, audit=audited, date=date)
    contents = {
        "predictions.csv": table.to_csv(index=False),
        "report.html": page,
        "card.md": card.render(run, manifest, result, date),
        "metrics.json": json.dumps(result, indent=2, allow_nan=False) + "\n",
    }
    write_together({out / name: text.encode() for name, text in contents.items()})
    return result


def _screened(run, rows, masks, on_error, skip_at_most):
    """The rows to measure, and the table of what is left out of them."""
    needs_masks = run.segments or (run.lungs_alone and masks.run is None)
    skipped = pd.DataFrame(columns=["file", "reason"])
    with show_steps("Reading") as progress:
        if on_error == "skip":
            rows, skipped = screen_rows(rows, masks=needs_masks, skip_at_most=skip_at_most, progress=progress)
        if needs_masks or masks.run is not None or not masks.has_mask(rows).any():
            return rows, skipped
        # They are looked at last of all: what is wrong with them is to be known first.
        bad = screen_masks(rows[masks.has_mask(rows)], progress)
    if len(bad) and on_error != "skip":
        raise ImageError(
            "Lung masks that say where a network looks must be as their images are, or absent. "
            f"Received: {len(bad)} that cannot be used, first: {bad['reason'][0]} "
            "Mend them, or leave them out with --on-error skip."
        )
    mask_path = rows["mask_path"].where(~rows["file"].isin(bad["file"]), "")
    bad["reason"] = "its mask, left out alone: " + bad["reason"]
    return rows.assign(mask_path=mask_path), pd.concat([skipped, bad])


def _classification(run, rows, batch_size, score, by, resamples, masks):
    true_index = label_index(rows, run.class_names)
    predictions = Predictions(run, rows, score, masks, batch_size)
    probabilities = predictions.probabilities
    figures, details = measure_classification(run, rows, true_index, probabilities, by, resamples)
    names = np.array(run.class_names, dtype=object)
    table = pd.concat(
        [
            rows[["file", "patient", "label"]],
            pd.Series(names[predictions.predicted], name="predicted"),
            pd.DataFrame(probabilities, columns=list(run.class_names)),
        ],
        axis=1,
    )
    details["where"] = look(run, rows, predictions, masks, batch_size)
    cards, cells = sheets.grad_cam_sheet(run, rows, true_index, predictions)
    shown = sections.classification_sections(figures, details, true_index, probabilities, cards, cells)
    return figures, details, table, shown


def _segmentation(run, rows, batch_size, score, by, resamples):
    def load(some):
        return evaluation_dataset(
            some,
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
    figures = metrics.mean_overlap(scores)
    columns = usual_subgroups(rows) if by is None else list(by)
    details = {
        "class_names": list(run.class_names),
        "intervals": mean_intervals(scores, rows["patient"].to_numpy(), resamples),
        "subgroups": subgroup_means(scores, rows, columns, resamples),
    }
    table = pd.concat([rows[["file", "patient"]], pd.DataFrame(scores)], axis=1)
    cards = sheets.outline_sheet(rows, scores, score, load)
    return figures, details, table, sections.segmentation_sections(figures, details, scores, cards)
