"""Compares two trained classifiers on the same images of a split, with intervals and tests."""

import contextlib
import json

import numpy as np

from semenet.data.manifest.table import label_index, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function
from semenet.metrics.delong_test import TooFewImagesError, clustered_delong, delong
from semenet.metrics.patient_bootstrap import check_resamples, paired_intervals
from semenet.progress import track
from semenet.storage.atomic import check_output_folder, output_folder, write_bytes
from semenet.training.run_folder.run import Run
from semenet.training.run_folder.run import versions as run_versions

__all__ = ["clustered_delong", "compare", "comparison_lines", "delong"]


def compare(
    first_run, second_run, manifest, split, out=None, root=None, batch_size=16, resamples=2000, lungs=None
):
    """Measures two classifiers on the same images of a split, and how far they differ.

    Probabilities are those that `semenet.evaluation.split_evaluation` measures, calibrated where a run is.
    Every
    figure and class gets a p-value of its own, and none is corrected for their number: of twenty
    figures of two equal networks, one is expected below 0.05. Say beforehand which figure decides.

    Args:
        first_run: a run folder, or a bare `.keras` file.
        second_run: another, with the same classes in any order; each gets images of its own input size.
        manifest: the manifest's CSV.
        split: the split to measure on, such as "test".
        out: the folder that `comparison.json` is written to, made if absent; None to write nothing.
        root: the folder that the manifest's paths start from; None for the CSV's own.
        batch_size: int, images predicted at a time.
        resamples: int, how many times the patients are drawn anew.
        lungs: for networks that are fed lungs alone, the run of a U-Net that finds them; None for the
            manifest's masks.

    Returns:
        dict, the content of comparison.json: `first` and `second` (paths), `class_names`; `figures`, as
        `semenet.metrics.patient_bootstrap.paired_intervals` gives them; `delong`, {class: {`plain`,
        `clustered`}} of class against rest, each as `semenet.metrics.delong_test` gives it, or None where
        there are too few images or patients; `count`, `patients`, `split`, `manifest_sha256`,
        `resamples`, `command` and `versions`.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or a label that the networks do not
            know.
        ImageError: an image cannot be read.
        WeightsError: there is no run, or its network cannot be loaded.
        ValueError: a network segments, gives logits or NaN, the two have different classes, or lung masks
            are needed and absent.
    """
    check_resamples(resamples)
    runs = [Run.open(path) for path in (first_run, second_run)]
    if out is not None:
        check_output_folder(out)
    class_names = _same_classes(*runs)
    read = read_manifest(manifest, root)
    rows = read.split(split)
    true_index = label_index(rows, class_names)
    masks = LungMasks.open(lungs)
    if any(run.lungs_alone for run in runs):
        masks.check_available(rows)
    out = None if out is None else output_folder(out)
    first, second = (_probabilities(run, rows, class_names, batch_size, masks) for run in runs)
    patients = rows["patient"].to_numpy()
    figures = paired_intervals(true_index, first, second, class_names, patients, resamples)
    areas = {
        name: _areas(true_index == index, first[:, index], second[:, index], patients)
        for index, name in enumerate(class_names)
    }
    result = {
        "first": str(first_run),
        "second": str(second_run),
        "class_names": list(class_names),
        "figures": figures,
        "delong": areas,
        "count": len(rows),
        "patients": rows["patient"].nunique(),
        "split": split,
        "manifest_sha256": read.sha256,
        "resamples": resamples,
        "command": command_line(
            "compare",
            first_run,
            second_run,
            manifest=manifest,
            split=split,
            out=out,
            root=root,
            batch_size=batch_size,
            resamples=resamples,
            lungs=lungs,
        ),
        "versions": run_versions(),
    }
    if out is not None:
        write_bytes(out / "comparison.json", (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    return result


def comparison_lines(result):
    """A comparison as a table for the terminal.

    Args:
        result: dict, what `compare` returns.

    Returns:
        list of str: the figures of all classes together, each class's area under the ROC curve with DeLong's
        test over patients, and what the columns are.
    """
    table = [("", "first", "second", "difference", "95 % interval", "p")]
    table += [
        _cells(name, found) for name, found in result["figures"].items() if not name.startswith("per_class.")
    ]
    for name, tests in result["delong"].items():
        found = result["figures"][f"per_class.{name}.auroc"]
        tested = {key: (tests["clustered"] or {}).get(key) for key in ("interval", "p_value")}
        table.append(_cells(f"auroc of {name}", found | tested))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        f"first:  {result['first']}",
        f"second: {result['second']}",
        f"{result['split']}: {result['count']} images of {result['patients']} patients",
        "",
        *(
            "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip()
            for row in table
        ),
        "",
        f"Intervals and p: {result['resamples']} resamples of patients; auroc of a class: DeLong's test over",
        "patients. No p is corrected for the number of rows. Research use only.",
    ]


def _same_classes(first, second):
    """The classes of the first run, in its order."""
    for run in (first, second):
        if run.segments:
            raise SemenetError(
                "Networks that are compared classify. "
                f"Received: {run.path}, a segmentation network. Compare the Dice of two evaluations instead."
            )
    if set(first.class_names) != set(second.class_names):
        raise SemenetError(
            "Networks that are compared must have the same classes. "
            f"Received: {', '.join(first.class_names)} of {first.path} and "
            f"{', '.join(second.class_names)} of {second.path}. Train both with the same --classes."
        )
    return first.class_names


def _probabilities(run, rows, class_names, batch_size, masks):
    """Probabilities of the rows, as `split_evaluation` computes them, with the columns in order."""
    score = scoring_function(run)
    batches = track(masks.network_inputs(rows, run, batch_size), len(rows), f"Predicting with {run.path}")
    outputs = [score(images).numpy() for images in batches]
    return np.concatenate(outputs)[:, [run.class_names.index(name) for name in class_names]]


def _areas(is_true, first, second, patients):
    tests = {
        "plain": lambda: delong(is_true, first, second),
        "clustered": lambda: clustered_delong(is_true, first, second, patients),
    }
    found = dict.fromkeys(tests)
    for name, test in tests.items():
        with contextlib.suppress(TooFewImagesError):
            found[name] = test()
    return found


def _cells(name, found):
    low, high = found["interval"] or (None, None)
    interval = "-" if low is None else f"[{low:+.3f}, {high:+.3f}]"
    p_value = found["p_value"]
    p_text = "-" if p_value is None else "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
    return (
        name,
        _text(found["first"]),
        _text(found["second"]),
        _text(found["difference"], "+"),
        interval,
        p_text,
    )


def _text(value, sign=""):
    return "-" if value is None else f"{value:{sign}.3f}"
