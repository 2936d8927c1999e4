"""Which images an epoch holds when they are drawn by weight, a function of (seed, epoch)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from semenet.data.manifest.class_labels import SEPARATOR
from semenet.data.manifest.csv_file import ManifestError, shorten

if TYPE_CHECKING:
    import pandas as pd

    from semenet.data.pipeline.sampling import Sampling

# `semenet.data.pipeline.epoch_plan` numbers the other random streams.
_DRAW_STREAM = 5
_LABEL = "label"


class BalancedDraw:
    """The images of each epoch, by systematic sampling of rows in a random order.

    Args:
        rows: rows of a manifest: `file` and the columns of `sampling.balance`.
        sampling: the settings.

    Attributes:
        count: the number of images in an epoch.
        expected: float (rows,), how often an epoch holds each row on average; their sum is `count`.

    Raises:
        ManifestError: a column is missing or has empty cells.
    """

    def __init__(self, rows: pd.DataFrame, sampling: Sampling) -> None:
        self.columns = sampling.balance
        self.count = len(rows) if sampling.epoch_images is None else int(sampling.epoch_images)
        self._cells, self._names = _find_cells(rows, self.columns)
        self._sizes = np.bincount(self._cells)
        self._totals = self.count * _cell_shares(self._names, self._sizes, sampling)
        self.expected = (self._totals / self._sizes)[self._cells]
        self._sha256 = hashlib.sha256(
            json.dumps([rows[column].tolist() for column in self.columns]).encode("ascii")
        ).hexdigest()

    def rows_of_epoch(self, seed: int, epoch: int) -> np.ndarray:
        """Draws the rows of an epoch.

        Args:
            seed: an integer of 0 or more.
            epoch: the epoch's number, from 0.

        Returns:
            An int array of `count` rows in ascending order, the same for the same arguments on every machine.
            Each row occurs as often as `expected`, rounded down or up.
        """
        generator = np.random.Generator(np.random.Philox((_DRAW_STREAM, epoch, seed)))
        start, places = generator.random(), generator.random(len(self._cells))
        # Cells one after another, so that their totals are rounded as well; rows of a cell in random order.
        order = np.lexsort((places, self._cells))
        ends = np.cumsum(self.expected[order])
        # Rounding errors of the sum must not lose the last draw.
        ends[-1] = self.count
        return np.sort(order[np.searchsorted(ends, start + np.arange(self.count), side="right")])

    def describe(self) -> dict[str, Any]:
        """Describes the draw for run.json.

        Returns:
            dict of `images`, the number of images in an epoch; `cells`, a list of one dict for each cell, in
            sorted order: its `values` of the columns, its number of `rows`, and its `share` of an epoch's
            images; and `columns_sha256`, a hash of the columns' values.
        """
        cells = [
            {
                "values": dict(zip(self.columns, name, strict=True)),
                "rows": int(size),
                "share": round(float(total) / self.count, 6),
            }
            for name, size, total in zip(self._names, self._sizes, self._totals, strict=True)
        ]
        return {"images": self.count, "cells": cells, "columns_sha256": self._sha256}


def format_cells(described: dict[str, Any], rows: int) -> str:
    """Formats the cells of `BalancedDraw.describe` as lines of text.

    Args:
        described: the result of `describe`.
        rows: the number of rows of which the images are drawn.

    Returns:
        A heading and one line for each cell, without a line end.
    """
    lines = [f"{described['images']} images are drawn in each epoch from {rows} rows:"]
    for cell in described["cells"]:
        times = described["images"] * cell["share"] / cell["rows"]
        name = ", ".join(cell["values"].values()) or "all"
        lines.append(
            f"  {name}: {cell['rows']} rows, {cell['rows'] / rows:.1%} of all; "
            f"{cell['share']:.1%} of the draws, each image {times:.2f} times"
        )
    return "\n".join(lines)


def _find_cells(rows: pd.DataFrame, columns: tuple[str, ...]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Returns each row's cell and the cells' values in sorted order, by the first column first."""
    missing = [column for column in columns if column not in rows]
    if missing:
        raise ManifestError(
            f"Images can only be balanced by columns of the manifest. Received: {', '.join(missing)}; the "
            f"manifest has {', '.join(map(str, rows.columns))}. Add the column, or pass another --balance."
        )
    for column in columns:
        empty = (rows[column].astype(str).str.strip() == "").to_numpy()
        if empty.any():
            files = rows["file" if "file" in rows else "path"]
            raise ManifestError(
                f"A column to balance by must be filled in every row. Received: {column!r}, which is empty "
                f"for {shorten(files[empty].tolist())}. Fill it, or pass another --balance."
            )
    if not columns:
        return np.zeros(len(rows), np.int64), [()]
    texts = (
        rows[column].astype(str).map(_sorted_classes) if column == _LABEL else rows[column].astype(str)
        for column in columns
    )
    values = list(zip(*texts, strict=True))
    names = sorted(set(values))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[value] for value in values]), names


def _sorted_classes(label: str) -> str:
    """Returns a partial label with its classes in sorted order, because their order has no meaning."""
    return SEPARATOR.join(sorted(label.split(SEPARATOR)))


def _cell_shares(names: list[tuple[str, ...]], sizes: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Returns each cell's share of an epoch's images."""
    weights = sizes ** (1 - float(sampling.balance_power))
    if not sampling.balance:
        return sizes / sizes.sum()
    partial = sampling.balance[0] == _LABEL
    groups_of = [name[0].split(SEPARATOR) if partial else [name[0]] for name in names]
    groups = sorted({group for found in groups_of for group in found})
    belongs = np.array([[(group in found) / len(found) for group in groups] for found in groups_of])
    parts = weights[:, np.newaxis] * belongs
    return (parts / parts.sum(axis=0)).sum(axis=1) / len(groups)
