"""Sets of images from manifests, selected by name, by a condition or by a column."""

import dataclasses
import os

import numpy as np
import pandas as pd

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.drawing.plots import COLOURS


@dataclasses.dataclass(frozen=True)
class Source:
    """The selected rows of one manifest.

    Attributes:
        name: str, name of the set.
        path: str, path of the CSV.
        sha256: str, `Manifest.sha256`.
        where: str "COLUMN=VALUE", or None for all rows.
        rows: DataFrame.
    """

    name: str
    path: str
    sha256: str
    where: str | None
    rows: pd.DataFrame


def read_source(text, splits):
    """Reads one --manifest.

    Args:
        text: str "NAME=CSV" or "NAME=CSV:COLUMN=VALUE".
        splits: sequence of str, the splits to keep; empty for all.

    Returns:
        `Source`.

    Raises:
        SemenetError: the text has another form, or no row is selected.
        ManifestError: as `read_manifest`.
    """
    name, _, path = text.partition("=")
    where = None
    before, _, after = path.rpartition(":")
    if before and "=" in after and not os.path.isfile(path):
        path, where = before, after
    if not name.strip() or not path:
        raise SemenetError(
            f"A manifest is given as NAME=CSV or NAME=CSV:COLUMN=VALUE. Received: {text!r}. "
            "Write the name of the set and an equals sign before the path."
        )
    found = read_manifest(path, required=(), require_split=bool(splits))
    rows = pd.concat([found.split(part) for part in splits]) if splits else found.rows
    if where is not None:
        column, _, value = where.partition("=")
        rows = rows[column_of(rows, column, path) == value]
        if rows.empty:
            raise SemenetError(
                f"A condition must match at least one row. Received: {where}, which matches none of {path}. "
                f"The column has the values {', '.join(sorted(set(found.rows[column]))[:20])}."
            )
    return Source(name.strip(), str(path), found.sha256, where, rows)


def column_of(rows, column, path):
    """Returns a column of a manifest's rows; if it is missing, raises a SemenetError that lists them."""
    if column not in rows:
        raise SemenetError(
            f"The column must be in the manifest. Received: {column!r} for {path}. "
            f"Its columns are {', '.join(rows.columns)}."
        )
    return rows[column]


def gather_sets(sources, by=None):
    """Combines the rows of the sources into sets.

    Args:
        sources: list of `Source`; sources with the same name form one set.
        by: column whose values form separate sets within each name, or None.

    Returns:
        dict from set name to DataFrame with the rows of the manifests, without repeated images.

    Raises:
        SemenetError: there are fewer than two sets, more sets than distinguishable colours, or an image is in
            two sets.
    """
    parts = {}
    for source in sources:
        if by is None:
            parts.setdefault(source.name, []).append(source.rows)
            continue
        for value, rows in source.rows.groupby(column_of(source.rows, by, source.path)):
            parts.setdefault(f"{source.name}: {value or '(empty)'}", []).append(rows)
    if not 2 <= len(parts) <= len(COLOURS):
        raise SemenetError(
            f"The tool compares 2 to {len(COLOURS)} sets of images. Received: {', '.join(parts) or 'none'}. "
            "Add another --manifest or --by, or use the same name for several manifests to join them."
        )
    sets, owner = {}, {}
    for name, frames in parts.items():
        rows = pd.concat(frames, ignore_index=True)
        rows = rows.assign(real=[os.path.realpath(path) for path in rows["path"]]).drop_duplicates("real")
        shared = [real for real in rows["real"] if real in owner]
        if shared:
            raise SemenetError(
                f"An image must be in one set only. Received: {shared[0]} in {owner[shared[0]]!r} and "
                f"{name!r} ({len(shared)} such images). Exclude it from one set with NAME=CSV:COLUMN=VALUE."
            )
        owner |= dict.fromkeys(rows["real"], name)
        sets[name] = rows
    return sets


def draw_images(sets, per_set, seed):
    """Samples images from each set with equal probability; takes all images of a smaller set.

    Args:
        sets: dict of `gather_sets`.
        per_set: int, number of images from each set.
        seed: int, 0 or more.

    Returns:
        DataFrame with the columns `path` and `set`, ordered by set.

    Raises:
        SemenetError: `per_set` is less than 1, or the seed is negative.
    """
    if per_set < 1 or seed < 0:
        raise SemenetError(
            "Sampling needs at least 1 image from each set, and a seed of 0 or more. "
            f"Received: {per_set} images, seed {seed}. Usual values: 500 and 0."
        )
    drawn = []
    for index, (name, rows) in enumerate(sets.items()):
        chosen = np.random.default_rng([seed, index]).permutation(len(rows))[:per_set]
        drawn.append(pd.DataFrame({"path": rows["path"].iloc[np.sort(chosen)], "set": name}))
    return pd.concat(drawn, ignore_index=True)
