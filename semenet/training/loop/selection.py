"""Selects the rows of a manifest that a run trains and validates on."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from semenet.data.checks.screening import screen_rows
from semenet.data.manifest.table import check_patients
from semenet.data.pipeline.balanced_draw import BalancedDraw
from semenet.progress import show_steps
from semenet.training.options import DataOptions

if TYPE_CHECKING:
    from semenet.data.manifest.table import Manifest
    from semenet.training.recipe import Recipe


def select_rows(
    manifest: "Manifest", options: DataOptions, *, masks: bool
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Selects the rows to train and to validate on.

    Args:
        manifest: the manifest.
        options: what to do with unreadable files and with patients in two splits.
        masks: whether the masks are the targets.

    Returns:
        The rows of `train`, the rows of `val`, and a dict for the run's record: `patient_overlap` maps each
        patient who occurs in two splits to these splits, and `skipped` is a list of dicts with `split`,
        `file` and `reason`.

    Raises:
        ManifestError: a split has no rows, or a patient occurs in two splits without permission.
        ImageError: more files are unreadable than may be left out.
    """
    overlap = check_patients(manifest, allow_overlap=options.allow_patient_overlap)
    selected, skipped = [], []
    for split in ("train", "val"):
        rows = manifest.split(split)
        if options.on_error == "skip":
            with show_steps(f"Reading the split {split}") as progress:
                rows, bad = screen_rows(
                    rows, masks=masks, skip_at_most=options.skip_at_most, progress=progress
                )
            skipped += bad.assign(split=split).to_dict("records")
        selected.append(rows)
    return *selected, {"patient_overlap": overlap.to_dict(), "skipped": skipped}


def describe_sampling(recipe: "Recipe", rows: pd.DataFrame) -> dict[str, Any] | None:
    """Describes how often the images of each cell are drawn, for the run's record.

    Args:
        recipe: the recipe.
        rows: the rows to train on.

    Returns:
        The result of `BalancedDraw.describe`; None if each image is used once in an epoch.

    Raises:
        ManifestError: a column to balance by is missing or has empty cells.
    """
    return BalancedDraw(rows, recipe.sampling).describe() if recipe.sampling.draws else None
