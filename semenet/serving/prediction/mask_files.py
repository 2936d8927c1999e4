"""Completes the column `mask` of a manifest with lung masks found by a segmentation network."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from semenet.data.images.reading import read_image, read_mask
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.data.transforms.lung_plausibility import CHECKS, check_lungs
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks
from semenet.inference.reading_ahead import read_ahead
from semenet.progress import track
from semenet.storage.atomic import output_file, output_folder, unique_stems, write_bytes, write_text
from semenet.storage.json_files import JsonError, read_json

if TYPE_CHECKING:
    import keras

    from semenet.training.run_folder.run import Run

# Beside the masks: for which manifest, and by which network they were written.
_SOURCE = "source.json"
_READ_AHEAD = 8


def fill_masks(
    manifest_path: str | os.PathLike,
    lungs: Run | keras.Model | str | os.PathLike,
    out: str | os.PathLike,
    root: str | os.PathLike | None = None,
    *,
    drop_implausible: bool = False,
) -> pd.DataFrame:
    """Writes a manifest in which every row has a lung mask.

    Masks that the manifest has are kept. The others are computed in the size of each image and written to the
    folder `<stem of out>_masks`, as 8-bit PNG: 255 inside, 0 outside. Paths in the new manifest are relative
    to its own folder. It has two more columns: `mask_source`, "manifest" or the name of the network; and
    `mask_check`, the checks of `semenet.inference.lung_plausibility` that a computed mask fails, "" for none.

    If the process is killed, the same call resumes it: masks that the same network has written for the same
    manifest are kept, unless their image is newer.

    Args:
        manifest_path: the manifest's CSV.
        lungs: a segmentation network with one class: a built model, a `Run`, the path of a run folder or
            `.keras` file, or `ENTRY:NAME` of published weights.
        out: the CSV to write; it must not be the manifest itself.
        root: the folder that the manifest's paths are relative to; None for the CSV's own folder.
        drop_implausible: whether to omit rows whose computed mask fails a check.

    Returns:
        The rows written.

    Raises:
        ManifestError: the manifest cannot be used.
        ImageError: an image cannot be read.
        OutputError: the CSV or a mask cannot be written.
        SemenetError: `lungs` is not a segmentation network with one class, the images are in shards, or no
            row remains.

    Example:
        >>> rows = semenet.serving.fill_masks("manifest.csv", "unet", "filled.csv")
        >>> (rows["mask"] != "").all()
        np.True_
    """
    out = output_file(out)
    if out.exists() and out.samefile(manifest_path):
        raise SemenetError(
            "The completed manifest must be written to a new file. "
            f"Received: --out {out}, the manifest itself. Give another --out."
        )
    masks = LungMasks.open(lungs)
    table = read_manifest(manifest_path, root, required=(), require_split=False)
    rows = table.rows
    if "shard" in rows:
        raise SemenetError(
            f"Masks can only be computed for images in files. Received: {manifest_path}, whose images are in "
            "shards. Give the manifest from which the shards were written."
        )
    here = out.absolute().parent
    filled = rows.assign(
        file=[os.path.relpath(path, here) for path in rows["path"]],
        mask=[path and os.path.relpath(path, here) for path in rows.get("mask_path", [""] * len(rows))],
        mask_source="manifest",
        mask_check="",
    )
    missing = filled.index[filled["mask"] == ""]
    folder = output_folder(out.with_name(f"{out.stem}_masks"))
    source = {"manifest_sha256": table.sha256, "network_sha256": masks.run.sha256}
    for number, file, check in _write_masks(rows["path"][missing], masks, folder, source):
        filled.loc[number, ["mask", "mask_source", "mask_check"]] = [
            os.path.relpath(file.absolute(), here),
            masks.run.name,
            check,
        ]
    if drop_implausible:
        filled = filled[filled["mask_check"] == ""].reset_index(drop=True)
    if filled.empty:
        raise SemenetError(
            f"A manifest must have one row or more. Received: {manifest_path}, whose {len(rows)} masks are "
            "all implausible. Train the U-Net further, or keep the implausible masks."
        )
    write_manifest(filled, out)
    return filled


def _write_masks(
    paths: pd.Series, masks: LungMasks, folder: pathlib.Path, source: dict[str, str]
) -> Iterator[tuple[int, pathlib.Path, str]]:
    """Writes a mask for each path; yields the index of the row, the file, and the failed checks."""
    resumes = _is_source(folder / _SOURCE, source)
    write_text(folder / _SOURCE, json.dumps(source, indent=2) + "\n")
    files = [folder / f"{stem}.png" for stem in unique_stems([pathlib.Path(path) for path in paths])]
    items = list(zip(paths.index, paths, files, strict=True))

    def read(item: tuple[int, str, pathlib.Path]) -> tuple[np.ndarray, bool]:
        """Returns a finished mask and True, or the image to segment and False."""
        _, path, file = item
        is_finished = resumes and file.is_file() and file.stat().st_mtime_ns >= os.stat(path).st_mtime_ns
        return (read_mask(file) > 0, True) if is_finished else (read_image(path), False)

    # Read some files ahead; each image is segmented alone, so that its mask depends on no other image.
    read_items = itertools.chain.from_iterable(read_ahead(items, read, _READ_AHEAD))
    for (number, _, file), (found, is_finished) in zip(
        items, track(read_items, len(items), "Finding lungs", size=lambda _: 1), strict=True
    ):
        mask = found
        if not is_finished:
            (mask,) = masks.segment([found], found.shape)
            write_bytes(file, cv2.imencode(".png", mask.astype("uint8") * 255)[1].tobytes())
        failed, _ = check_lungs(mask)
        yield number, file, " ".join(name for name, fails in zip(CHECKS, failed, strict=True) if fails)


def _is_source(file: pathlib.Path, source: dict[str, str]) -> bool:
    """Whether the masks beside a file were written for the same manifest by the same network."""
    try:
        return read_json(file, {"type": "object"}) == source
    except (OSError, JsonError):
        return False
