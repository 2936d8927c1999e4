"""Sets of images to compare with one another, from manifests: by their names, by conditions, by a column."""

import dataclasses
import os

import numpy as np
import pandas as pd

from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.evaluation.drawing.plots import COLOURS


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows of one manifest that go into sets.

    Attributes:
        name: str.
        path: str, the CSV.
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
    """Reads what a --manifest names.

    Args:
        text: str "NAME=CSV" or "NAME=CSV:COLUMN=VALUE".
        splits: sequence of str, the splits to keep; empty for all.

    Returns:
        `Source`.

    Raises:
        SemenetError: the text has no such form, or picks no row; ManifestError as of `read_manifest`.
    """
    name, _, path = text.partition("=")
    where = None
    before, _, after = path.rpartition(":")
    if before and "=" in after and not os.path.isfile(path):
        path, where = before, after
    if not name.strip() or not path:
        raise SemenetError(
            f"A manifest is given as NAME=CSV or NAME=CSV:COLUMN=VALUE. Received: {text!r}. "
            "Write its set's name and an equals sign before the path."
        )
    found = read_manifest(path, required=(), require_split=bool(splits))
    rows = pd.concat([found.split(part) for part in splits]) if splits else found.rows
    if where is not None:
        column, _, value = where.partition("=")
        rows = rows[column_of(rows, column, path) == value]
        if rows.empty:
            raise SemenetError(
                f"A condition must hold for a row or more. Received: {where}, but for none of {path}. "
                f"The column has: {', '.join(sorted(set(found.rows[column]))[:20])}."
            )
    return Source(name.strip(), str(path), found.sha256, where, rows)


def column_of(rows, column, path):
    """A column of a manifest's rows; raises SemenetError, which names the columns there are, for another."""
    if column not in rows:
        raise SemenetError(
            f"Sets are made by a column that the manifest has. Received: {column!r} for {path}. "
            f"It has: {', '.join(rows.columns)}."
        )
    return rows[column]


def gather_sets(sources, by=None):
    """Puts the sources' rows into sets.

    Args:
        sources: list of `Source`; those of one name become one set.
        by: column whose values make sets of their own within each name, or None.

    Returns:
        dict of set name to DataFrame with the rows of manifests, no image twice.

    Raises:
        SemenetError: there are fewer than two sets, or more than there are colours that everybody can tell
            apart; or an image stands in two.
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
            "Give more --manifest or a --by; or give several manifests one name, which makes them one set."
        )
    sets, owner = {}, {}
    for name, frames in parts.items():
        rows = pd.concat(frames, ignore_index=True)
        rows = rows.assign(real=[os.path.realpath(path) for path in rows["path"]]).drop_duplicates("real")
        shared = [real for real in rows["real"] if real in owner]
        if shared:
            raise SemenetError(
                f"An image must stand in one set, or it lies between them. Received: {shared[0]} in "
                f"{owner[shared[0]]!r} and {name!r} ({len(shared)} such images). Leave it out of one, with "
                "NAME=CSV:COLUMN=VALUE."
            )
        owner |= dict.fromkeys(rows["real"], name)
        sets[name] = rows
    return sets


def draw_images(sets, per_set, seed):
    """Draws images of each set, each as likely; a set with fewer is taken whole.

    Args:
        sets: dict of `gather_sets`.
        per_set: int, how many of each.
        seed: int, 0 or more.

    Returns:
        DataFrame with the columns `path` and `set`, set after set.

    Raises:
        SemenetError: `per_set` is not 1 or more, or the seed not 0 or more.
    """
    if per_set < 1 or seed < 0:
        raise SemenetError(
            "A draw takes 1 image or more of each set, by a seed of 0 or more. "
            f"Received: {per_set} images, seed {seed}. The usual are 500 and 0."
        )
    drawn = []
    for index, (name, rows) in enumerate(sets.items()):
        chosen = np.random.default_rng([seed, index]).permutation(len(rows))[:per_set]
        drawn.append(pd.DataFrame({"path": rows["path"].iloc[np.sort(chosen)], "set": name}))
    return pd.concat(drawn, ignore_index=True)
