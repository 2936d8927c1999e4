"""Compares two trained classifiers on the same images of a split, with intervals and tests."""

import contextlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from semenet.data.manifest.class_labels import complete_labels, possible_classes
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function
from semenet.metrics.delong_test import TooFewImagesError, clustered_delong, delong
from semenet.metrics.patient_bootstrap import paired_intervals
from semenet.metrics.patient_resamples import check_resamples
from semenet.metrics.probabilities import decided
from semenet.progress import track
from semenet.storage.atomic import check_output_folder, output_folder, write_bytes
from semenet.training.run_folder.record import package_versions
from semenet.training.run_folder.run import Run


def compare(
    first: Run | keras.Model | str | pathlib.Path,
    second: Run | keras.Model | str | pathlib.Path,
    manifest: str | pathlib.Path,
    split: str = "val",
    *,
    out: str | pathlib.Path | None = None,
    root: str | pathlib.Path | None = None,
    batch_size: int = 16,
    resamples: int = 2000,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
) -> dict[str, Any]:
    """Evaluates two classifiers on the same images of a split and tests the differences of their metrics.

    The probabilities are those of `semenet.evaluation.split_evaluation`, calibrated if a run is. Every metric
    and class has its own p-value, and none is corrected for multiple comparisons: among twenty metrics of two
    equal networks, one p-value below 0.05 is expected. Choose the metric that decides beforehand.

    Args:
        first: a run folder, a `.keras` file, published weights (`<entry>:<name>`), a `Run`, or a network in
            memory.
        second: another one, with the same classes in any order; each network gets images of its own input
            size.
        manifest: path of the manifest's CSV.
        split: the split to evaluate, such as "test".
        out: the folder that `comparison.json` is written to, created if missing; None to write nothing.
        root: the folder that the manifest's paths are relative to; None for the CSV's own.
        batch_size: number of images predicted at a time.
        resamples: number of bootstrap resamples of the patients.
        lungs: for networks that need lung masks, the run of a U-Net that segments them; None for the
            manifest's masks.

    Returns:
        dict, the content of comparison.json: `first` and `second` (names of the runs), `class_names`;
        `figures`, the metrics as returned by `semenet.metrics.patient_bootstrap.paired_intervals`; `delong`,
        {class: {`plain`, `clustered`}} of each class against the rest, as returned by
        `semenet.metrics.delong_test`, or None if there are too few images or patients; `count`, `patients`,
        `split`, `manifest_sha256`, `resamples`, `command` and `versions`; and `partial_labels`, the number of
        images with one, if there are any.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or contains a label that the networks
            do not know.
        ImageError: an image cannot be read.
        WeightsError: a run does not exist, or its network cannot be loaded.
        SemenetError: a network is a segmentation network or returns logits or NaN, the two have different
            classes, or lung masks are needed and missing.

    Example:
        >>> found = semenet.compare("run", "run", "manifest.csv", "test", resamples=200)
        >>> found["figures"]["accuracy"]["difference"]
        0.0
    """
    check_resamples(resamples)
    runs = [Run.open(network) for network in (first, second)]
    if out is not None:
        check_output_folder(out)
    class_names = _same_classes(*runs)
    table = read_manifest(manifest, root)
    rows = table.split(split)
    possible = possible_classes(rows, class_names)
    known, is_partial = decided(possible > 0), ~complete_labels(possible)
    masks = LungMasks.open(lungs)
    if any(run.needs_lungs for run in runs):
        masks.check_available(rows)
    out = None if out is None else output_folder(out)
    of_first, of_second = (_probabilities(run, rows, class_names, batch_size, masks) for run in runs)
    patients = rows["patient"].to_numpy()
    result = {
        "first": runs[0].name,
        "second": runs[1].name,
        "class_names": list(class_names),
        "figures": paired_intervals(possible, of_first, of_second, class_names, patients, resamples),
        "delong": {
            name: _delong_tests(
                possible[rows, index] > 0, of_first[rows, index], of_second[rows, index], patients[rows]
            )
            for index, (name, rows) in enumerate(zip(class_names, known.T, strict=True))
        },
        "count": len(rows),
        "patients": rows["patient"].nunique(),
        **({"partial_labels": int(is_partial.sum())} if is_partial.any() else {}),
        "split": split,
        "manifest_sha256": table.sha256,
        "resamples": resamples,
        "command": command_line(
            "compare",
            *(run.name for run in runs),
            manifest=manifest,
            split=split,
            out=out,
            root=root,
            batch_size=batch_size,
            resamples=resamples,
            lungs=masks.run and masks.run.name,
        ),
        "versions": package_versions(),
    }
    if out is not None:
        write_bytes(out / "comparison.json", (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    return result


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """Formats a comparison as a table for the terminal.

    Args:
        result: dict, as returned by `compare`.

    Returns:
        list of str: the metrics over all classes, each class's area under the ROC curve with DeLong's test
        clustered by patient, and an explanation of the columns.
    """
    table: list[tuple[str, ...]] = [("", "first", "second", "difference", "95 % interval", "p")]
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
        *_describe_partial(result),
        "",
        *(
            "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip()
            for row in table
        ),
        "",
        f"Intervals and p-values: {result['resamples']} resamples of patients; AUROC of a class: DeLong's",
        "test, clustered by patient. p-values are not corrected for multiple comparisons. Research use only.",
    ]


def _describe_partial(result: dict[str, Any]) -> list[str]:
    if not result.get("partial_labels"):
        return []
    return [
        f"{result['partial_labels']} images have a partial label: they count for one class against the rest "
        "where it decides that, and are left out of the others."
    ]


def _same_classes(first: Run, second: Run) -> Sequence[str]:
    """Returns the classes of the first run, in its order; refuses runs with different classes."""
    for run in (first, second):
        if run.segments:
            raise SemenetError(
                "Only classifiers can be compared. "
                f"Received: {run.name}, a segmentation network. Compare the Dice of two evaluations instead."
            )
    if set(first.class_names) != set(second.class_names):
        raise SemenetError(
            "Networks that are compared must have the same classes. "
            f"Received: {', '.join(first.class_names)} of {first.name} and "
            f"{', '.join(second.class_names)} of {second.name}. Train both with the same --classes."
        )
    return first.class_names


def _probabilities(
    run: Run, rows: pd.DataFrame, class_names: Sequence[str], batch_size: int, masks: LungMasks
) -> np.ndarray:
    """Returns the probabilities of the rows, as in `split_evaluation`, with the columns in class order."""
    score = scoring_function(run)
    batches = track(masks.network_inputs(rows, run, batch_size), len(rows), f"Predicting with {run.name}")
    outputs = [score(images).numpy() for images in batches]
    return np.concatenate(outputs)[:, [run.class_names.index(name) for name in class_names]]


def _delong_tests(
    is_true: np.ndarray, first: np.ndarray, second: np.ndarray, patients: np.ndarray
) -> dict[str, dict[str, Any] | None]:
    tests = {
        "plain": lambda: delong(is_true, first, second),
        "clustered": lambda: clustered_delong(is_true, first, second, patients),
    }
    found = dict.fromkeys(tests)
    for name, test in tests.items():
        with contextlib.suppress(TooFewImagesError):
            found[name] = test()
    return found


def _cells(name: str, found: dict[str, Any]) -> tuple[str, ...]:
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


def _text(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"
