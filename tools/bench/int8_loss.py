"""Measures the loss of an exported network in int8: its metrics in float32 and in int8 on the same images.

Usage: semenet export RUN FOLDER --format openvino --int8 --calibration CSV
       python tools/bench/int8_loss.py RUN FOLDER --manifest CSV [--split val] [--resamples 2000]
                                       [--out FILE.csv]

Prints a line for each metric: in float32, in int8, and the difference with its 95 % interval over patients,
all measured on the same resamples. For a classifier: accuracy, macro F1, macro AUROC and the share of images
with another predicted class; for a segmentation network: Dice and IoU, means over the images. A network that
takes lungs alone gets the manifest's masks.
"""

import json
import os
import pathlib
from collections.abc import Callable, Iterable

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

METRICS = ("accuracy", "macro_f1", "macro_auroc")
BATCH = 16
Network = Callable[[np.ndarray], np.ndarray]


def main(
    run: tyro.conf.Positional[pathlib.Path],
    folder: tyro.conf.Positional[pathlib.Path],
    manifest: pathlib.Path,
    split: str = "val",
    resamples: int = 2000,
    out: pathlib.Path | None = None,
) -> None:
    """Prints the metrics.

    Args:
        run: The run that was exported.
        folder: Its export by `semenet export --int8`.
        manifest: CSV of the images to measure on.
        split: Split to measure on, other than that of the calibration.
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


def exported_files(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the float32 and the int8 file of an exported folder.

    Raises:
        SemenetError: it has no int8 file.
    """
    description = json.loads((folder / DESCRIPTION).read_text())
    if "int8" not in description:
        raise SemenetError(
            f"The loss is measured on an export with an int8 network. Received: {folder}, without one. "
            "Export it with --int8 --calibration CSV."
        )
    return folder / description["file"], folder / description["int8"]["file"]


def classification_loss(
    run: Run, rows: pd.DataFrame, networks: list[Network], resamples: int
) -> pd.DataFrame:
    """Compares the metrics of a classifier.

    Args:
        run: the run that was exported.
        rows: rows of the images.
        networks: functions of images to probabilities, in float32 and in int8.
        resamples: bootstrap draws of patients.

    Returns:
        A row for each metric.
    """
    batches = track(LungMasks().network_inputs(rows, run, BATCH), len(rows), "Predicting")
    first, second = (np.concatenate(part) for part in predicted(networks, batches))
    true_index = label_index(rows, run.class_names)
    found = paired_intervals(true_index, first, second, run.class_names, rows["patient"], resamples)
    lines = [line(name, *(found[name][key] for key in KEYS)) for name in METRICS]
    others = float((first.argmax(axis=1) != second.argmax(axis=1)).mean())
    return pd.DataFrame([*lines, line("share decided otherwise", 0.0, others, others, None)])


def segmentation_loss(run: Run, rows: pd.DataFrame, networks: list[Network], resamples: int) -> pd.DataFrame:
    """Compares the metrics of a segmentation network, as `classification_loss`."""
    dataset = evaluation_dataset(
        rows,
        input_size=run.input_size,
        channels=run.channels,
        batch_size=BATCH,
        inference_clahe=run.inference_clahe,
        masks=True,
    )
    scores: tuple[list, list] = ([], [])
    for images, masks in track(dataset, len(rows), "Predicting", size=lambda batch: len(batch[0])):
        for network, collected in zip(networks, scores, strict=True):
            collected.append(metrics.overlap(masks.numpy(), network(images.numpy())))
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


def line(
    name: str, first: float, second: float, difference: float, interval: tuple[float, float] | None
) -> dict[str, str | float | None]:
    """Returns a row of the table."""
    low, high = interval or (None, None)
    return {
        "figure": name,
        "float32": first,
        "int8": second,
        "difference": difference,
        "low": low,
        "high": high,
    }


def predicted(networks: list[Network], batches: Iterable[np.ndarray]) -> tuple[list, list]:
    """Returns a list for each network: its outputs for each batch."""
    outputs: tuple[list, list] = ([], [])
    for images in batches:
        for network, collected in zip(networks, outputs, strict=True):
            collected.append(network(images))
    return outputs


if __name__ == "__main__":
    with report_errors():
        tyro.cli(main, description=__doc__)
