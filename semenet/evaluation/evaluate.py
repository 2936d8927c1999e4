"""Measures a trained network on one split of a manifest, and reports it."""

import datetime
import functools
import json
import shlex

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.files import output_folder, write_bytes
from semenet.data.manifest import label_index, read_manifest
from semenet.data.pipeline import evaluation_dataset, plain_errors
from semenet.data.screening import ON_ERROR, screen
from semenet.errors import SemenetError
from semenet.evaluation import report, sheets
from semenet.evaluation.scoring import scorer
from semenet.training.progress import show_steps, track
from semenet.training.run import Run
from semenet.training.run import versions as run_versions


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
):
    """Measures a run on a split and writes `metrics.json`, `predictions.csv` and `report.html`.

    metrics.json has the figures of `semenet.metrics.classification` (for a segmentation network
    `segmentation`), nested figures under dotted keys too (`per_class.normal.f1`), and `split`,
    `manifest_sha256`, `patients`, `skipped` (a dict of file and reason for each file left out), `tta`,
    `command` and `versions`. predictions.csv has a row an image: file,
    patient, label, predicted and a column a class (segmentation: file, patient, dice, iou, mean_iou).
    Segmentations are measured at the network's input size. Files that exist are replaced, each
    as a whole, once the whole split is measured.

    Args:
        run_path: a run folder, or a bare `.keras` file.
        manifest_path: the manifest's CSV.
        split: the split to measure, such as "val".
        out: the folder to write to; made if absent.
        root: the folder that the manifest's paths start from; None for the CSV's own.
        batch_size: int, images predicted at a time.
        on_error: "raise" stops at the first file that cannot be read; "skip" tries all first, measures on
            those that can be read, and lists the others in metrics.json and the report.
        skip_at_most: the share of the rows, in [0, 1], that may be left out.
        tta: int, test-time augmentation: how many fixed views of each image the probabilities are averaged
            over, as for `semenet.evaluation.scoring.scorer`.

    Returns:
        dict, the content of metrics.json.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or a label that the network
            does not know.
        ImageError: an image or mask cannot be read, or too many cannot.
        WeightsError: there is no run, or its network cannot be loaded.
        ValueError: the network gives logits, or NaN; another `on_error`; or a `tta` that there is not, or
            not for this network.
    """
    if on_error not in ON_ERROR:
        raise SemenetError(
            f"`on_error` must be one of {', '.join(ON_ERROR)}. Received: {on_error!r}. "
            "Use 'skip' to go on past bad files."
        )
    run = Run.open(run_path)
    score = scorer(run, tta)
    manifest = read_manifest(manifest_path, root, need=("mask",) if run.segments else ("label",))
    rows = manifest.split(split)
    out = output_folder(out)
    skipped = []
    if on_error == "skip":
        with show_steps("Reading") as progress:
            rows, bad = screen(rows, masks=run.segments, skip_at_most=skip_at_most, progress=progress)
        skipped = bad.to_dict("records")
    measure = _segmentation if run.segments else _classification
    figures, table, sections = measure(run, rows, batch_size, score)
    versions = run_versions()
    command = _command(run_path, manifest_path, split, out, root, batch_size)
    if on_error == "skip":
        command += f" --on-error skip --skip-at-most {skip_at_most}"
    if tta > 1:
        command += f" --tta {tta}"
    result = metrics.flat(figures) | {
        "split": split,
        "manifest_sha256": manifest.sha256,
        "patients": rows["patient"].nunique(),
        "skipped": skipped,
        "tta": tta,
        "command": command,
        "versions": versions,
    }
    page = report.render(
        run=run,
        manifest=manifest,
        split=split,
        patients=result["patients"],
        figures=figures,
        sections=sections,
        skipped=skipped,
        command=command,
        versions=versions,
        date=datetime.datetime.now(datetime.UTC),
    )
    write_bytes(out / "predictions.csv", table.to_csv(index=False).encode())
    write_bytes(out / "report.html", page.encode())
    # Last, so that who finds it finds the others.
    write_bytes(out / "metrics.json", (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    return result


def _classification(run, rows, batch_size, score):
    true_index = label_index(rows, run.class_names)
    load = _loader(run, batch_size)
    dataset = load(rows)
    with plain_errors():
        outputs = [score(images).numpy() for images in track(dataset, len(rows), "Predicting")]
    probabilities = np.concatenate(outputs)
    figures = metrics.classification(true_index, probabilities, run.class_names)
    names = np.array(run.class_names, dtype=object)
    table = pd.concat(
        [
            rows[["file", "patient", "label"]],
            pd.Series(names[probabilities.argmax(axis=1)], name="predicted"),
            pd.DataFrame(probabilities, columns=list(run.class_names)),
        ],
        axis=1,
    )
    cards, cells = sheets.grad_cam_sheet(run, rows, true_index, probabilities, load)
    sections = report.classification_sections(figures, true_index, probabilities, cards, cells)
    return figures, table, sections


def _segmentation(run, rows, batch_size, score):
    load = _loader(run, batch_size, masks=True)
    dataset = load(rows)
    with plain_errors():
        batches = track(dataset, len(rows), "Predicting", size=lambda batch: len(batch[0]))
        parts = [metrics.overlap(masks.numpy(), score(images).numpy()) for images, masks in batches]
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    figures = metrics.mean_overlap(scores)
    table = pd.concat([rows[["file", "patient"]], pd.DataFrame(scores)], axis=1)
    cards = sheets.outline_sheet(rows, scores, score, load)
    return figures, table, report.segmentation_sections(scores, cards)


def _loader(run, batch_size, masks=False):
    """Function from rows to their dataset, in the network's terms."""
    return functools.partial(
        evaluation_dataset,
        input_size=run.input_size,
        channels=run.channels,
        batch_size=batch_size,
        inference_clahe=run.inference_clahe,
        masks=masks,
    )


def _command(run_path, manifest_path, split, out, root, batch_size):
    """The command that does the same again, whoever called."""
    arguments = [run_path, "--manifest", manifest_path, "--split", split, "--out", out]
    if root is not None:
        arguments += ["--root", root]
    arguments += ["--batch-size", batch_size]
    return shlex.join(["semenet", "evaluate", *map(str, arguments)])
