"""Calibrates a trained classifier: temperature, decision thresholds and abstention."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.manifest.class_labels import complete_labels, possible_classes
from semenet.data.manifest.several_labels import known_labels
from semenet.data.manifest.table import Manifest, ManifestError, label_index, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.evaluation.measure.finding_thresholds import (
    choose_finding_thresholds,
    finding_warnings,
    has_findings,
)
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function, temperature_function
from semenet.metrics.operating_points import check_target
from semenet.progress import track
from semenet.storage.atomic import output_file, write_bytes
from semenet.training.run_folder.file_names import calibration_file
from semenet.training.run_folder.record import package_versions
from semenet.training.run_folder.run import Run

SMALL_SPLIT = 100
_REFUSED_SPLITS = {
    "test": "which is kept for the final evaluation",
    "train": "whose images the network was trained on",
}


def calibrate(
    run: Run | str | pathlib.Path,
    manifest: str | pathlib.Path,
    split: str = "val",
    *,
    root: str | pathlib.Path | None = None,
    batch_size: int = 16,
    sensitivity: float = 0.9,
    specificity: float = 0.9,
    accuracy: float = 0.95,
    lungs: Run | keras.Model | str | pathlib.Path | None = None,
    even_if_worse: bool = False,
) -> dict[str, Any]:
    """Chooses temperature, thresholds and abstention on a split, and saves them beside the network.

    From then on `semenet evaluate`, `predict` and `export` of this network return calibrated probabilities.
    The predicted classes do not change. The metrics `before` and `after` are computed on the same images
    that the temperature was chosen on; another split shows how well it generalises. An earlier calibration
    is replaced and has no influence. Images with a partial label are left out.

    Of a network with sigmoid outputs, on a manifest with columns label:NAME (or with a single output), only a
    threshold for each finding is chosen, the one with the highest sensitivity + specificity (Youden's index).
    Its dict has `labels` "several", a temperature of 1, `operating_points` {name: {`youden`: dict or None}},
    and neither `before` nor `after`.

    Args:
        run: a run folder, a `.keras` file or a `Run`.
        manifest: path of the manifest's CSV.
        split: the split to choose on, neither "train" nor "test".
        root: the folder that the manifest's paths are relative to; None for the CSV's own.
        batch_size: number of images predicted at a time.
        sensitivity: target in (0, 1] for each class against the rest.
        specificity: target in (0, 1], likewise.
        accuracy: target in (0, 1] among the answered images.
        lungs: for a network that needs lung masks, the run of a U-Net that segments them; None for the
            manifest's masks.
        even_if_worse: whether to apply a temperature that raises the expected calibration error on these
            images. Otherwise the temperature is then 1, with a warning, and `rejected` holds the fitted one.

    Returns:
        dict, the content of `calibration.json` in the run folder (`<stem>.calibration.json` beside a
        `.keras` file): `temperature`, `at_bound`, `count`, `patients`, `split`, `manifest_sha256`,
        `model_sha256`; `before` and `after`, dicts of `nll`, `ece` and `brier`; `operating_points`, for each
        class `sensitivity` and `specificity`, dicts of `target`, `threshold` (the lowest calibrated
        probability at which the class is reported) and the metrics of `semenet.metrics.metrics_at_threshold`,
        or None if no threshold reaches the target; `abstain`, a dict of `target_accuracy`, `confidence` (the
        lowest at which to answer), `coverage` and `accuracy`, or None; `warnings`, a list of str; `command`
        and `versions`; `partial_labels_left_out`, how many images, if there are any; and `rejected`, a dict
        of a `temperature` that was not applied and of its `nll`, `ece` and `brier`, if there is one.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or contains a label that the network
            does not know.
        ImageError: an image cannot be read.
        WeightsError: the run does not exist, or its network cannot be loaded.
        OutputError: the file cannot be written.
        SemenetError: the split is "train" or "test", or has images of only one class; the network is a
            segmentation network or returns NaN; or a target lies outside (0, 1].

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.

    Example:
        >>> found = semenet.calibrate("run", "manifest.csv", "val")
        >>> found["temperature"] > 0, sorted(found["operating_points"])
        (True, ['bacteria', 'normal', 'virus'])
    """
    if split.strip().lower() in _REFUSED_SPLITS:
        raise SemenetError(
            "Temperature and thresholds are chosen on validation images. "
            f"Received: the split {split!r}, {_REFUSED_SPLITS[split.strip().lower()]}. "
            "Use another split, such as 'val'."
        )
    targets = {"sensitivity": sensitivity, "specificity": specificity, "accuracy": accuracy}
    for name, target in targets.items():
        check_target(name, target)
    opened = Run.open(run)
    # Hashed before the network is loaded: if a training run overwrites the file meanwhile, the calibration
    # is later refused instead of being applied to the new network.
    model_sha256 = opened.sha256
    if opened.published is not None:
        raise SemenetError(
            "Published weights have a fixed calibration, stored in their metadata.json. "
            f"Received: {opened.name}. Save the network first to calibrate it again: "
            "semenet.build(..., weights=...).save"
        )
    if opened.path is None:
        raise SemenetError(
            "A calibration is saved beside the file of its network. "
            f"Received: the network {opened.name}, which is in memory. Save it first: model.save(path)."
        )
    file = output_file(calibration_file(opened.path))
    if opened.segments:
        raise SemenetError(
            "Calibration applies to the probabilities of a classifier. "
            f"Received: {opened.name}, a segmentation network. Calibrate a classifier's run."
        )
    masks = LungMasks.open(lungs)
    table = read_manifest(manifest, root, required=())
    several = has_findings(opened, table)
    if not several:
        table = read_manifest(manifest, root)
    rows, partial = table.split(split), 0
    if not several:
        rows, partial = _complete_rows(rows, opened.class_names)
    outputs = _uncalibrated_batches(opened, rows, batch_size, masks)
    before = np.concatenate(outputs)
    common = {
        "count": len(rows),
        "patients": rows["patient"].nunique(),
        **({"partial_labels_left_out": partial} if partial else {}),
        "split": split,
        "manifest_sha256": table.sha256,
        "model_sha256": model_sha256,
    }
    warnings = _split_warnings(opened, table, split, len(rows), partial)
    if several:
        points = choose_finding_thresholds(known_labels(rows, opened.class_names), before, opened.class_names)
        result = {"labels": "several", "temperature": 1.0, "at_bound": False} | common
        result |= {"operating_points": points, "abstain": None}
        warnings += finding_warnings(points)
        targets = {}
    else:
        true_index = label_index(rows, opened.class_names)
        found = metrics.fit_temperature(true_index, before, opened.activation)
        # In the same batches and by the same graph as later scoring: a threshold meets the same digits.
        finish = temperature_function(found["temperature"], opened.activation)
        after = np.concatenate([np.asarray(finish(output)) for output in outputs])
        measured = [_calibration_metrics(true_index, each, opened.activation) for each in (before, after)]
        rejected = {}
        if measured[1]["ece"] > measured[0]["ece"] and not even_if_worse:
            rejected = {"rejected": {"temperature": found["temperature"]} | measured[1]}
            warnings.append(_rejection(found["temperature"], *measured))
            found, after, measured = {"temperature": 1.0, "at_bound": False}, before, [measured[0]] * 2
        points = {
            name: _operating_points(true_index == index, after[:, index], sensitivity, specificity)
            for index, name in enumerate(opened.class_names)
        }
        abstain = metrics.choose_abstention(true_index, after, accuracy)
        result = found | common | rejected
        result |= {
            "before": measured[0],
            "after": measured[1],
            "operating_points": points,
            "abstain": None if abstain is None else {"target_accuracy": accuracy} | abstain,
        }
        warnings += _warnings(found, points, abstain)
    result |= {
        "warnings": warnings,
        "command": command_line(
            "calibrate",
            opened.name,
            manifest=manifest,
            split=split,
            root=root,
            batch_size=batch_size,
            lungs=masks.run and masks.run.name,
            **targets,
        ),
        "versions": package_versions(),
    }
    write_bytes(file, (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    return result


def _complete_rows(rows: pd.DataFrame, class_names: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Returns the rows with a complete label, and how many others there are."""
    complete = complete_labels(possible_classes(rows, class_names))
    if not complete.any():
        raise ManifestError(
            "A calibration needs images whose label names one class. Received: only partial labels, such as "
            f"{rows['label'][0]!r}. Add rows with complete labels."
        )
    return rows[complete].reset_index(drop=True), int((~complete).sum())


def _uncalibrated_batches(
    run: Run, rows: pd.DataFrame, batch_size: int, masks: LungMasks
) -> list[np.ndarray]:
    """Returns the network's uncalibrated probabilities, in the batches that `evaluate` uses."""
    score = scoring_function(run, calibrated=False)
    batches = masks.network_inputs(rows, run, batch_size)
    return [score(images).numpy() for images in track(batches, len(rows), "Predicting")]


def _calibration_metrics(
    true_index: np.ndarray, probabilities: np.ndarray, activation: str
) -> dict[str, float]:
    return {
        "nll": metrics.negative_log_likelihood(true_index, probabilities, activation),
        "ece": metrics.expected_calibration_error(true_index, probabilities),
        "brier": metrics.brier_score(true_index, probabilities),
    }


def _operating_points(
    is_true: np.ndarray, score: np.ndarray, sensitivity: float, specificity: float
) -> dict[str, dict[str, Any] | None]:
    points: dict[str, dict[str, Any] | None] = {}
    for name, target in {"sensitivity": sensitivity, "specificity": specificity}.items():
        threshold = metrics.choose_threshold(is_true, score, **{name: target})
        points[name] = None
        if threshold is not None:
            rates = metrics.metrics_at_threshold(is_true, score, threshold)
            points[name] = {"target": target, "threshold": threshold} | rates
    return points


def _split_warnings(run: Run, manifest: Manifest, split: str, count: int, partial: int) -> list[str]:
    warnings = []
    if count < SMALL_SPLIT:
        warnings.append(
            f"The split {split} has {count} images: with fewer than {SMALL_SPLIT}, temperature and "
            "thresholds depend strongly on which images were drawn."
        )
    if partial:
        warnings.append(
            f"{partial} images with a partial label, such as bacteria|virus, were left out: temperature, "
            "thresholds and abstention need complete labels."
        )
    # Training validates on the split named val.
    if split == "val" and run.record.get("manifest_sha256") == manifest.sha256:
        warnings.append(
            f"The best epoch was chosen on the split {split} too, so the network looks better on it than it "
            "is. Use a separate split for calibration to avoid this."
        )
    return warnings


def _rejection(temperature: float, before: dict[str, float], after: dict[str, float]) -> str:
    return (
        f"The temperature with the lowest negative log-likelihood, {temperature:.3f}, raises the expected "
        f"calibration error of these images from {before['ece']:.3f} to {after['ece']:.3f}. It is not "
        "applied: the temperature stays 1. Calibrate on more images, or apply it with --even-if-worse."
    )


def _warnings(found: dict[str, Any], points: dict[str, Any], abstain: dict[str, Any] | None) -> list[str]:
    warnings = []
    if found["at_bound"]:
        warnings.append(
            f"The temperature ended at {found['temperature']:.2f}, a bound of the search: these images do "
            "not determine it, for example because every prediction is correct. Calibrate on more images, "
            "or delete the file."
        )
    missing = [f"{name} ({key})" for name, chosen in points.items() for key in chosen if not chosen[key]]
    if missing:
        warnings.append(f"No threshold reaches the target for {', '.join(missing)}.")
    if abstain is None:
        warnings.append("No confidence threshold reaches the target accuracy among the answered images.")
    return warnings
