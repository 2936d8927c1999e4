"""Calibrates a trained classifier: its temperature, and where to decide and to abstain."""

import json

import numpy as np

from semenet import metrics
from semenet.data.manifest.table import label_index, read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.command_lines import command_line
from semenet.inference.lung_masks import LungMasks
from semenet.inference.scoring import scoring_function, temperature_function
from semenet.metrics.operating_points import check_target
from semenet.progress import track
from semenet.storage.atomic import output_file, write_bytes
from semenet.training.run_folder.run import Run, calibration_file, versions

SMALL_SPLIT = 100
_REFUSED = {
    "test": "on which they would be measured",
    "train": "whose images the network knows",
}


def calibrate(
    run_path,
    manifest_path,
    split="val",
    root=None,
    batch_size=16,
    *,
    sensitivity=0.9,
    specificity=0.9,
    accuracy=0.95,
    lungs=None,
):
    """Chooses temperature, thresholds and abstention on a split, and writes them beside the network.

    From then on `semenet evaluate`, `predict` and `export` of this network give calibrated probabilities. The
    classes predicted stay. The figures before and after are of the very images the temperature was chosen
    on: how well it holds, another split says. What was written before is replaced, and plays no part.

    Args:
        run_path: a run folder, or a bare `.keras` file.
        manifest_path: the manifest's CSV.
        split: the split to choose on, neither "train" nor "test".
        root: the folder that the manifest's paths start from; None for the CSV's own.
        batch_size: int, images predicted at a time.
        sensitivity: float in (0, 1], to reach for each class against the rest.
        specificity: float in (0, 1], likewise.
        accuracy: float in (0, 1], to reach among the images that are answered.
        lungs: for a network that is fed lungs alone, the run of a U-Net that finds them; None for the
            manifest's masks.

    Returns:
        dict, the content of `calibration.json` in the run folder (`<stem>.calibration.json` beside a bare
        file): `temperature`, `at_bound`, `count`, `patients`, `split`, `manifest_sha256`, `model_sha256`;
        `before` and `after`, dicts of `nll`, `ece` and `brier`; `operating_points`, of each class
        `sensitivity` and `specificity`, dicts of `target`, `threshold` (of the calibrated probability, from
        which on the class is said to be there) and the figures of `semenet.metrics.at_threshold`, or None
        where no threshold reaches the target; `abstain`, a dict of `target_accuracy`, `confidence` (the
        lowest at which to answer), `coverage` and `accuracy`, or None; `warnings`, a list of str; `command`
        and `versions`.

    Raises:
        ManifestError: the manifest cannot be used, has no such split, or a label that the network
            does not know.
        ImageError: an image cannot be read.
        WeightsError: there is no run, or its network cannot be loaded.
        OutputError: the file cannot be written.
        ValueError: the split is "train" or "test", or has images of one class alone; the network segments or
            gives NaN; or a target lies outside (0, 1].

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.
    """
    if split.strip().lower() in _REFUSED:
        raise SemenetError(
            "Temperature and thresholds are chosen on validation images. "
            f"Received: the split {split!r}, {_REFUSED[split.strip().lower()]}. "
            "Name another, such as 'val'."
        )
    targets = {"sensitivity": sensitivity, "specificity": specificity, "accuracy": accuracy}
    for name, target in targets.items():
        check_target(name, target)
    run = Run.open(run_path)
    # Before it is loaded: should a training that goes on write it anew meanwhile, the calibration is
    # refused later, and not taken for the new network's.
    model_sha256 = run.sha256
    if run.published is not None:
        raise SemenetError(
            "Published weights come with their calibration, which stands in their metadata.json. "
            f"Received: {run_path}. Save the network to calibrate anew: semenet.build(..., weights=...).save"
        )
    file = output_file(calibration_file(run.path))
    if run.segments:
        raise SemenetError(
            "Calibration is of a classifier's probabilities. "
            f"Received: {run.path}, a segmentation network. Leave it as it is."
        )
    manifest = read_manifest(manifest_path, root)
    rows = manifest.split(split)
    true_index = label_index(rows, run.class_names)
    outputs = _outputs(run, rows, batch_size, lungs)
    before = np.concatenate(outputs)
    found = metrics.fit_temperature(true_index, before, run.activation)
    # In the batches and by the graph that score later, so that a threshold meets the same digits.
    finish = temperature_function(found["temperature"], run.activation)
    after = np.concatenate([np.asarray(finish(output)) for output in outputs])
    points = {
        name: _operating_points(true_index == index, after[:, index], sensitivity, specificity)
        for index, name in enumerate(run.class_names)
    }
    abstain = metrics.abstain_band(true_index, after, accuracy)
    result = found | {
        "count": len(rows),
        "patients": rows["patient"].nunique(),
        "split": split,
        "manifest_sha256": manifest.sha256,
        "model_sha256": model_sha256,
        "before": _figures(true_index, before, run.activation),
        "after": _figures(true_index, after, run.activation),
        "operating_points": points,
        "abstain": None if abstain is None else {"target_accuracy": accuracy} | abstain,
        "warnings": _warnings(run, manifest, split, len(rows), found, points, abstain),
        "command": command_line(
            "calibrate",
            run_path,
            manifest=manifest_path,
            split=split,
            root=root,
            batch_size=batch_size,
            lungs=lungs,
            **targets,
        ),
        "versions": versions(),
    }
    write_bytes(file, (json.dumps(result, indent=2, allow_nan=False) + "\n").encode())
    return result


def _outputs(run, rows, batch_size, lungs):
    """The network's own probabilities, batch by batch as `evaluate` scores them."""
    score = scoring_function(run, calibrated=False)
    batches = LungMasks.open(lungs).network_inputs(rows, run, batch_size)
    return [score(images).numpy() for images in track(batches, len(rows), "Predicting")]


def _figures(true_index, probabilities, activation):
    return {
        "nll": metrics.negative_log_likelihood(true_index, probabilities, activation),
        "ece": metrics.ece(true_index, probabilities),
        "brier": metrics.brier(true_index, probabilities),
    }


def _operating_points(is_true, score, sensitivity, specificity):
    points = {}
    for name, target in {"sensitivity": sensitivity, "specificity": specificity}.items():
        threshold = metrics.threshold_for(is_true, score, **{name: target})
        points[name] = None
        if threshold is not None:
            figures = metrics.at_threshold(is_true, score, threshold)
            points[name] = {"target": target, "threshold": threshold} | figures
    return points


def _warnings(run, manifest, split, count, found, points, abstain):
    warnings = []
    if count < SMALL_SPLIT:
        warnings.append(
            f"The split {split} has {count} images: with fewer than {SMALL_SPLIT}, temperature and "
            "thresholds would come out otherwise on others."
        )
    # Training validates on the split that is named val.
    if split == "val" and run.record.get("manifest_sha256") == manifest.sha256:
        warnings.append(
            f"The best epoch was chosen on the split {split} too, which makes the network look better on it "
            "than it is. A split of its own for the calibration would not."
        )
    if found["at_bound"]:
        warnings.append(
            f"The temperature ended at {found['temperature']:.2f}, a bound of the search: these images set "
            "none, as where every prediction is right. Calibrate on more images, or delete the file."
        )
    missing = [f"{name} ({key})" for name, chosen in points.items() for key in chosen if not chosen[key]]
    if missing:
        warnings.append(f"No threshold reaches the target for {', '.join(missing)}.")
    if abstain is None:
        warnings.append("No confidence reaches the accuracy wanted among the images answered.")
    return warnings
