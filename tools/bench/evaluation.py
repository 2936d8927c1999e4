"""Measures the time and memory of an evaluation relative to the inference in it.

Usage: python tools/bench/evaluation.py --manifest CSV [--split val] [--run RUN]

Runs inference on the split, evaluates it (metrics with intervals, calibration, subgroups, attention, the
randomisation check, report and card), and runs inference again. The ratio is the evaluation's time over the
mean of both inference times, so a change in the machine's speed is visible. On a machine with other jobs, use
the ratio of processor times. Without --run an untrained network is used, which takes as long as a trained
one.
"""

import os
import pathlib
import resource
import sys
import tempfile
import time

import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(
    manifest: pathlib.Path,
    split: str = "val",
    run: pathlib.Path | None = None,
    entry: str = "seme_resnet50",
    size: int = 224,
    width: float = 1.0,
    batch_size: int = 16,
) -> None:
    """Runs the benchmark.

    Args:
        manifest: CSV with the columns file, label, patient, split, and mask to measure the attention.
        split: The split to evaluate.
        run: Run folder or .keras file. None: an untrained network.
        entry: Without --run: the entry of the network.
        size: Without --run: height and width of its input in pixels.
        width: Without --run: scales its channels.
        batch_size: Images per step.
    """
    import semenet
    from semenet.data.manifest.table import read_manifest
    from semenet.evaluation.measure.classification import measure_classification
    from semenet.evaluation.split_evaluation import evaluate
    from semenet.training.run_folder.run import Run

    rows = read_manifest(manifest).split(split)
    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = pathlib.Path(folder) / "model.keras"
            classes = sorted(set(rows["label"]))
            semenet.build(entry, classes=classes, input_shape=(size, size, 1), width=width).save(run)
        opened = Run.open(run)
        # The first batch traces the network.
        inference(opened, rows.head(batch_size), batch_size)
        before, probabilities = inference(opened, rows, batch_size)
        resident = peak_memory()
        evaluation, _ = timed(
            evaluate, run, manifest, split, out=pathlib.Path(folder) / "out", batch_size=batch_size
        )
        grown = peak_memory() - resident
        after, _ = inference(opened, rows, batch_size)
        index = rows["label"].map(list(opened.class_names).index).to_numpy()
        statistics, _ = timed(measure_classification, opened, rows, index, probabilities)
    wall, processor = ((before[clock] + after[clock]) / 2 for clock in (0, 1))
    print(
        f"{len(rows)} images of {rows['patient'].nunique()} patients, {opened.model.name} at "
        f"{opened.input_size[0]} x {opened.input_size[1]}"
    )
    print(
        f"inference alone: {before[0]:.1f} s before, {after[0]:.1f} s after ({len(rows) / wall:.1f} images/s)"
    )
    print(f"evaluation: {evaluation[0]:.1f} s, {evaluation[0] / wall:.3f} times inference")
    print(f"processor time: {evaluation[1]:.1f} s, {evaluation[1] / processor:.3f} times inference")
    print(f"of which metrics, intervals and subgroups: {statistics[1]:.1f} s")
    print(f"peak memory grew by {grown:.0f} MB during the evaluation")


def inference(run, rows, batch_size):
    """Times the inference: returns the seconds, as `timed` does, and the probabilities, float32 (N, K)."""
    import numpy as np

    from semenet.inference.lung_masks import LungMasks
    from semenet.inference.scoring import scoring_function

    score = scoring_function(run)

    def predict():
        return np.concatenate(
            [score(images).numpy() for images in LungMasks().network_inputs(rows, run, batch_size)]
        )

    return timed(predict)


def timed(function, *arguments, **options):
    """Calls a function: returns (wall-clock seconds, processor seconds) and its result."""
    began, used = time.monotonic(), time.process_time()
    result = function(*arguments, **options)
    return (time.monotonic() - began, time.process_time() - used), result


def peak_memory():
    """Returns the highest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
