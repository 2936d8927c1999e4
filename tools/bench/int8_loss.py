"""Measures what an exported network loses in int8: its figures in float32 and in int8, on the same images.

Usage: semenet export RUN FOLDER --format openvino --int8 --calibration CSV
       python tools/bench/int8_loss.py RUN FOLDER --manifest CSV [--split val] [--resamples 2000]
                                       [--out FILE.csv]

Prints a line a figure: in float32, in int8, and the difference with its 95 % interval over patients, both
measured on the same resamples. Of a classifier: accuracy, macro F1, macro AUROC and the classes decided
otherwise; of a segmentation network: Dice and IoU, means over the images. A network that is fed lungs alone
gets the manifest's masks.
"""

import json
import os
import pathlib

import numpy as np
import pandas as pd
import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from semenet import metrics
from semenet.cli.recipe import report_errors
from semenet.data.manifest.table import label_index, read_manifest
from semenet.data.pipeline.datasets import evaluation_dataset
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks
from semenet.metrics.patient_bootstrap import mean_intervals, paired_intervals
from semenet.progress import track
from semenet.serving.exports.runtime_formats import DESCRIPTION
from semenet.serving.exports.runtimes import open_exported
from semenet.training.run_folder.run import Run

FIGURES = ("accuracy", "macro_f1", "macro_auroc")
BATCH = 16


def main(
    run: tyro.conf.Positional[pathlib.Path],
    folder: tyro.conf.Positional[pathlib.Path],
    manifest: pathlib.Path,
    split: str = "val",
    resamples: int = 2000,
    out: pathlib.Path | None = None,
) -> None:
    """Prints the figures.

    Args:
        run: What was exported.
        folder: What `semenet export --int8` wrote of it.
        manifest: CSV of the images to measure on.
        split: Split to measure on; not that of the calibration.
        resamples: Bootstrap draws of patients.
        out: CSV to write as well.
    """
    opened = Run.open(run)
    files = exported_files(folder)
    rows = read_manifest(manifest, required=("mask",) if opened.segments else ("label",)).split(split)
    measure = segmentation_loss if opened.segments else classification_loss
    table = measure(opened, rows, [open_exported(file) for file in files], resamples)
    patients = rows["patient"].nunique()
    print(f"{opened.name}, {files[1]}: {len(rows)} images of {patients} patients, split {split}")
    print(table.to_string(index=False, float_format="{:.4f}".format))
    if out is not None:
        table.to_csv(out, index=False)


def exported_files(folder):
    """Paths of the float32 and the int8 file of an exported folder.

    Raises:
        SemenetError: it has none in int8.
    """
    described = json.loads((folder / DESCRIPTION).read_text())
    if "int8" not in described:
        raise SemenetError(
            f"The loss is measured of an export with an int8 network. Received: {folder}, without one. "
            "Export it with --int8 --calibration CSV."
        )
    return folder / described["file"], folder / described["int8"]["file"]


def classification_loss(run, rows, networks, resamples):
    """Figures of a classifier.

    Args:
        run: `Run`.
        rows: DataFrame of the images.
        networks: functions of images to probabilities, in float32 and in int8.
        resamples: int.

    Returns:
        DataFrame, a row a figure.
    """
    batches = track(LungMasks().network_inputs(rows, run, BATCH), len(rows), "Predicting")
    first, second = (np.concatenate(part) for part in predicted(networks, batches))
    true_index = label_index(rows, run.class_names)
    found = paired_intervals(true_index, first, second, run.class_names, rows["patient"], resamples)
    lines = [line(name, *(found[name][key] for key in KEYS)) for name in FIGURES]
    others = float((first.argmax(axis=1) != second.argmax(axis=1)).mean())
    return pd.DataFrame([*lines, line("share decided otherwise", 0.0, others, others, None)])


def segmentation_loss(run, rows, networks, resamples):
    """Figures of a segmentation network; as `classification_loss`."""
    dataset = evaluation_dataset(
        rows,
        input_size=run.input_size,
        channels=run.channels,
        batch_size=BATCH,
        inference_clahe=run.inference_clahe,
        masks=True,
    )
    scores = [], []
    for images, masks in track(dataset, len(rows), "Predicting", size=lambda batch: len(batch[0])):
        for network, gathered in zip(networks, scores, strict=True):
            gathered.append(metrics.overlap(masks.numpy(), network(images.numpy())))
    first, second = (
        {name: np.concatenate([part[name] for part in parts]) for name in ("dice", "iou")} for parts in scores
    )
    differences = {name: second[name] - values for name, values in first.items()}
    intervals = mean_intervals(differences, rows["patient"].to_numpy(), resamples)
    return pd.DataFrame(
        line(name, values.mean(), second[name].mean(), differences[name].mean(), intervals[name])
        for name, values in first.items()
    )


KEYS = ("first", "second", "difference", "interval")


def line(name, first, second, difference, interval):
    """dict, a row of the table."""
    low, high = interval or (None, None)
    return {
        "figure": name,
        "float32": first,
        "int8": second,
        "difference": difference,
        "low": low,
        "high": high,
    }


def predicted(networks, batches):
    """What each network gives for each batch: a list of arrays for each network."""
    outputs = [], []
    for images in batches:
        for network, gathered in zip(networks, outputs, strict=True):
            gathered.append(network(images))
    return outputs


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
