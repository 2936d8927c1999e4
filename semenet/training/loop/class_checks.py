"""Checks that a manifest has the columns of a recipe's targets, and training images of every class."""

import hashlib
import pathlib

import pandas as pd

from semenet.data.manifest.class_labels import complete_labels, possible_classes
from semenet.data.manifest.several_labels import known_labels
from semenet.data.manifest.table import ManifestError
from semenet.training.recipe import Recipe


def target_columns(recipe: Recipe) -> tuple[str, ...]:
    """Returns the columns of the targets; those of several labels are checked when they are read."""
    if recipe.segments:
        return ("mask",)
    return () if recipe.several_labels else ("label",)


def check_classes(recipe: Recipe, rows: pd.DataFrame, path: pathlib.Path) -> None:
    """Checks that a network can learn every class.

    Args:
        recipe: the recipe.
        rows: the training rows.
        path: the manifest, for the message.

    Raises:
        ManifestError: a class has no training image whose label names it alone; of several labels, a finding
            has no training image with it, or none without it.
    """
    if recipe.segments:
        return
    if recipe.several_labels:
        _check_findings(recipe, rows, path)
        return
    possible = possible_classes(rows, recipe.classes)
    present = possible[complete_labels(possible)].any(axis=0)
    missing = [name for name, found in zip(recipe.classes, present, strict=True) if not found]
    if missing:
        alone = " whose label names it alone" if possible.any(axis=0)[~present].any() else ""
        raise ManifestError(
            f"Every class needs training images{alone}. Received: {path}, whose split `train` has none of "
            f"{', '.join(missing)}. Pass --classes with the classes that it has."
        )


def findings_sha256(recipe: Recipe, *parts: pd.DataFrame) -> str | None:
    """Returns the hash of the labels of a network with several labels; None for another network.

    The hash of a manifest does not cover columns that are named as the findings alone.
    """
    if not recipe.several_labels:
        return None
    digest = hashlib.sha256()
    for rows in parts:
        digest.update(known_labels(rows, recipe.classes).tobytes())
    return digest.hexdigest()


def _check_findings(recipe: Recipe, rows: pd.DataFrame, path: pathlib.Path) -> None:
    labels = known_labels(rows, recipe.classes)
    present = (labels == 0).any(axis=0) & (labels == 1).any(axis=0)
    missing = [name for name, found in zip(recipe.classes, present, strict=True) if not found]
    if missing:
        raise ManifestError(
            f"Every finding needs training images with it and without it. Received: {path}, whose split "
            f"`train` does not have both of {', '.join(missing)}. Pass --classes with those that it has."
        )
