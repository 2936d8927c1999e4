"""What was chosen on each split of a manifest, and so what kind of evidence its metrics are.

Metrics are optimistic on images on which something was chosen. They are reported as validation, never as a
test.
"""

from typing import Any

from semenet.data.manifest.table import Manifest
from semenet.training.recipe import Recipe
from semenet.training.run_folder.run import Run

WEIGHTS = "weights"
EPOCH = "best epoch"
TEMPERATURE = "temperature"
OPERATING_POINTS = "operating points"

TRAINING = "training"
VALIDATION = "validation"
HELD_OUT = "held-out"
OTHER = "other manifest"
UNKNOWN = "unknown"
EXPLANATIONS = {
    TRAINING: "Training images: the network has seen them.",
    VALIDATION: "Validation, not a test: something was chosen on this split.",
    HELD_OUT: "Held-out: nothing was chosen on this split of the manifest that the network was trained with.",
    OTHER: "Another manifest than that of the training. Whether the two share patients was not checked.",
    UNKNOWN: "The training is not recorded, so it is not known what was chosen on this split.",
}


def chosen_by_training(recipe: Recipe) -> dict[str, list[str]]:
    """Returns what a training run chooses on the splits of its manifest, by split.

    Args:
        recipe: the recipe.

    Example:
        >>> from semenet.evaluation.measure import chosen_by_training
        >>> chosen_by_training(semenet.training.find_recipe("unet"))
        {'train': ['weights'], 'val': ['best epoch']}
    """
    if recipe.monitor.startswith("val_"):
        return {"train": [WEIGHTS], "val": [EPOCH]}
    return {"train": [WEIGHTS, EPOCH], "val": []}


def choices(run: Run, manifest: Manifest) -> dict[str, list[str]] | None:
    """Returns what was chosen on each split of a manifest.

    Args:
        run: the run of the network.
        manifest: the manifest that it is evaluated on.

    Returns:
        dict from each split of the manifest to a list of str, in order; None where the training of the
        network is not recorded. Only what is recorded is listed: the training and the calibration of a run,
        and what the metadata of published weights says.
    """
    trained_with = run.record.get("manifest_sha256")
    if trained_with is None or run.recipe is None:
        return None
    found = {split: [] for split in sorted(set(manifest.rows["split"]))}
    if trained_with == manifest.sha256:
        published = {} if run.published is None else run.published.metadata.get("chosen_on", {})
        for split, names in (published or chosen_by_training(run.recipe)).items():
            found.setdefault(split, []).extend(names)
    if run.calibration is not None and run.calibration["manifest_sha256"] == manifest.sha256:
        of_split = found.setdefault(run.calibration["split"], [])
        of_split += [name for name in (TEMPERATURE, OPERATING_POINTS) if name not in of_split]
    return found


def evidence_kind(run: Run, manifest: Manifest, split: str) -> str:
    """Returns what kind of evidence the metrics on a split are, a key of `EXPLANATIONS`."""
    chosen = choices(run, manifest)
    if chosen is None:
        return UNKNOWN
    if WEIGHTS in chosen[split]:
        return TRAINING
    if chosen[split]:
        return VALIDATION
    return HELD_OUT if run.record["manifest_sha256"] == manifest.sha256 else OTHER


def evidence_of(run: Run, manifest: Manifest, split: str) -> dict[str, Any]:
    """Returns `evidence` and `chosen_on` of metrics.json: `evidence_kind` and `choices`."""
    return {"evidence": evidence_kind(run, manifest, split), "chosen_on": choices(run, manifest)}


def describe_evidence(kind: str, chosen: list[str]) -> str:
    """Returns the kind of evidence in words, with what was chosen on the split."""
    if kind != VALIDATION:
        return EXPLANATIONS[kind]
    listed = ", ".join(chosen[:-1]) + (" and " if len(chosen) > 1 else "") + chosen[-1]
    return f"Validation, not a test: {listed} {'was' if len(chosen) == 1 else 'were'} chosen on this split."
