"""Finds the images of a run whose lung mask is implausible, which the network sees whole."""

import concurrent.futures
import os
import sys
from typing import Any

import pandas as pd

from semenet.data.images.reading import read_mask
from semenet.data.manifest.table import Manifest, ManifestError
from semenet.data.transforms.lung_plausibility import CHECKS, check_lungs
from semenet.progress import show_steps
from semenet.training.recipe import Recipe


def check_lung_masks(recipe: Recipe, manifest: Manifest) -> None:
    """Checks that a manifest names a lung mask for every row of train and val, if a recipe needs it.

    Args:
        recipe: the recipe.
        manifest: the manifest.

    Raises:
        ManifestError: a mask is missing.
    """
    if not recipe.lung_view.needs_mask:
        return
    rows = pd.concat([manifest.split("train"), manifest.split("val")])
    without = rows[rows["mask_path"] == ""] if "mask_path" in rows else rows
    if len(without):
        raise ManifestError(
            "A network that sees images cut to the lungs or standardised inside them needs a lung mask for "
            f"every row of train and val. Received: {manifest.path} with {len(without)} of {len(rows)} rows "
            f"without one, first {without['file'].iloc[0]}. Fill the column `mask`: semenet masks "
            f"{manifest.path} --lungs unet:lung --out CSV"
        )


def find_implausible_lungs(recipe: Recipe, *splits: pd.DataFrame) -> dict[str, Any]:
    """Reads all masks of a run and finds the implausible ones, by the rule of inference.

    Args:
        recipe: the recipe.
        *splits: the rows of the splits train and val.

    Returns:
        A dict for the run's record: `implausible_lungs`, a list of dicts with `split`, `file` and `failed`,
        the checks that the mask failed. Empty for a recipe that neither cuts images to the lungs nor
        standardises them.

    Raises:
        ImageError: a mask cannot be read.
    """
    if not recipe.lung_view.needs_mask:
        return {}
    rows = pd.concat(splits)
    found = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, show_steps("Checking masks") as show:
        for number, failed in enumerate(pool.map(_failed_checks, rows["mask_path"].tolist())):
            if failed:
                row = rows.iloc[number]
                found.append({"split": row["split"], "file": row["file"], "failed": failed})
            show(number + 1, len(rows))
    if found:
        print(
            f"{len(found)} of {len(rows)} lung masks are implausible, first that of {found[0]['file']} "
            f"({found[0]['failed']}). The network sees these images whole; run.json lists them.",
            file=sys.stderr,
        )
    return {"implausible_lungs": found}


def _failed_checks(path: str) -> str:
    failed, _ = check_lungs(read_mask(path))
    return " ".join(name for name, fails in zip(CHECKS, failed, strict=True) if fails)
