"""Explains the decisions of a cascade by the heat maps of both stages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from semenet.data.images.listing import list_images
from semenet.errors import SemenetError
from semenet.inference.heat_maps.map_choice import DEFAULT_MAPS, MapChoice
from semenet.serving.cascade.cascade import BATCH_SIZE, Cascade
from semenet.serving.cascade.decisions import ABSTAIN, REJECTED
from semenet.serving.cascade_evaluation.labelled_rows import read_labelled_rows
from semenet.serving.prediction import map_files
from semenet.serving.prediction.cascade_predictions import predict_cascade
from semenet.storage.atomic import output_folder, write_text
from semenet.storage.csv_cells import csv_text, unescape_table
from semenet.storage.file_names import as_paths, shown_name

TABLE = "explanations.csv"
_CASES = ("wrong", "right", "all")
_COLUMNS = ["file", "label", "predicted", "reason", *map_files.COLUMNS[1:]]


def explain_cascade(
    cascade: Cascade | str | os.PathLike,
    images: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    *,
    manifest: str | os.PathLike | None = None,
    split: str = "val",
    out: str | os.PathLike,
    only: Literal["wrong", "right", "all"] = "wrong",
    refined: str | None = None,
    root: str | os.PathLike | None = None,
    map_choice: MapChoice = DEFAULT_MAPS,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """Writes the heat maps of both stages of a cascade, for image files or for a split of a manifest.

    For each image: `<stem>_stage1_heatmap.png`, 8-bit grey in the size of the image with 255 for 1;
    `<stem>_stage1_overlay.png`, the radiograph with the map in colour; the same for stage 2; and
    `explanations.csv`. An image that the input gate rejects has no maps.

    Args:
        cascade: a cascade, or the folder of a saved one.
        images: path of an image or of a folder of images, or several of them; None with `manifest`.
        manifest: path of a manifest's CSV, to explain images of a split.
        split: with `manifest`, the split.
        out: the folder to write to; created if missing.
        only: with `manifest`, which images to explain: those answered "wrong" or "right", or "all", also
            those without an answer.
        refined: with `manifest`, as for `evaluate_cascade`.
        root: with `manifest`, the folder that its paths are relative to; None for the CSV's own.
        map_choice: the method and the layer of the maps, in both stages.
        batch_size: images per step.

    Returns:
        The content of explanations.csv: two rows for each image with maps, one for another, with file, label
        (only with `manifest`), predicted, reason, network, class, method, layer, heatmap and overlay.

    Raises:
        CascadeError: the folder has no complete cascade.
        ManifestError: the manifest cannot be used, or has no such split.
        ImageError: a path does not exist, or a folder has no image.
        SemenetError: both or neither of `images` and `manifest` are given, or unknown method or layer.

    Example:
        >>> table = semenet.serving.explain_cascade("cascade", "images/000000.png", out="maps")
        >>> table[["network", "heatmap"]].values.tolist()
        [['stage1', '000000_stage1_heatmap.png'], ['stage2', '000000_stage2_heatmap.png']]
    """
    paths = () if images is None else as_paths(images)
    if bool(paths) == (manifest is not None):
        raise SemenetError(
            "Either images or a manifest are explained. "
            f"Received: {len(paths)} paths and {'no manifest' if manifest is None else manifest}. "
            "Give paths of images, or --manifest with --split."
        )
    if only not in _CASES:
        raise SemenetError(
            f"`only` must be one of {', '.join(_CASES)}. Received: {only!r}. Use 'all' for every image."
        )
    folder = output_folder(out)
    cascade = cascade if isinstance(cascade, Cascade) else Cascade.open(cascade)
    labels = None
    if manifest is None:
        files = list_images(paths)
    else:
        rows = read_labelled_rows([manifest], split, cascade, refined, root)
        rows = _choose(rows, cascade, only, batch_size)
        files, labels = rows["path"].tolist(), rows["label"].tolist()
        if not files:
            print(f"No image of the split {split} to explain: none was answered {only}ly.", file=sys.stderr)
    table = pd.DataFrame(columns=_COLUMNS)
    if files:
        decided = predict_cascade(cascade, files, batch_size=batch_size, maps=folder, map_choice=map_choice)
        names = dict(zip(map(shown_name, files), labels or [""] * len(files), strict=True))
        decided["label"] = decided["file"].map(names)
        written = unescape_table(pd.read_csv(folder / map_files.TABLE, keep_default_na=False))
        table = decided.merge(written, on="file", how="left")[_COLUMNS].fillna("")
        # Its rows are in the table of explanations.
        (folder / map_files.TABLE).unlink()
    table = table if labels is not None else table.drop(columns="label")
    write_text(folder / TABLE, csv_text(table))
    return table


def _choose(rows: pd.DataFrame, cascade: Cascade, only: str, batch_size: int) -> pd.DataFrame:
    """Returns the rows that the cascade answers wrongly or rightly, or all."""
    if only == "all":
        return rows
    decided = predict_cascade(cascade, rows["path"], batch_size=batch_size)
    predicted = decided["predicted"].to_numpy()
    answered = ~decided["predicted"].isin([ABSTAIN, REJECTED, "error"]).to_numpy()
    right = predicted == rows["label"].to_numpy()
    return rows[answered & (right if only == "right" else ~right)].reset_index(drop=True)
