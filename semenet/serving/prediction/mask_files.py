"""Fills a manifest's column `mask` where it is empty: lungs found by a U-Net."""

import os
import pathlib

import cv2
import numpy as np
import tensorflow as tf

from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks
from semenet.inference.lung_plausibility import CHECKS, failed_checks
from semenet.progress import track
from semenet.storage.atomic import output_file, output_folder, unique_stems, write_bytes


def fill_masks(manifest_path, lungs, out, root=None, *, drop_implausible=False):
    """Writes a manifest in which every row has a lung mask.

    A mask that the manifest has is kept. The others are found, each in its image's own size, and written into
    the folder `<out's stem>_masks`, 8-bit PNG: 255 inside, 0 outside. The manifest written, whose paths are
    relative to its own folder, has two columns more: `mask_source`, "manifest" or the U-Net; and
    `mask_check`, the checks of `semenet.inference.lung_plausibility` that a mask found fails, "" for none.

    Args:
        manifest_path: the manifest's CSV.
        lungs: the run of a U-Net, or `ENTRY:NAME` of published weights.
        out: the CSV to write, not the manifest itself.
        root: the folder that the manifest's paths start from; None for the CSV's own.
        drop_implausible: whether rows whose mask was found and fails a check are left out.

    Returns:
        DataFrame of the rows written.

    Raises:
        ManifestError: the manifest cannot be used.
        ImageError: an image cannot be read.
        OutputError: the CSV or a mask cannot be written.
        ValueError: `lungs` is no segmentation network with one class, the images lie in shards, or no row is
            left.
    """
    out = output_file(out)
    if out.exists() and out.samefile(manifest_path):
        raise SemenetError(
            "The manifest with all masks is written beside the old one. "
            f"Received: --out {out}, the manifest itself. Give another --out."
        )
    masks = LungMasks.open(lungs)
    rows = read_manifest(manifest_path, root, required=(), require_split=False).rows
    if "shard" in rows:
        raise SemenetError(
            f"Masks are found for images in files. Received: {manifest_path}, whose images lie in shards. "
            "Give the manifest that the shards were made of."
        )
    here = out.absolute().parent
    filled = rows.assign(
        file=[os.path.relpath(path, here) for path in rows["path"]],
        mask=[path and os.path.relpath(path, here) for path in rows.get("mask_path", [""] * len(rows))],
        mask_source="manifest",
        mask_check="",
    )
    bare = filled.index[filled["mask"] == ""]
    folder = output_folder(out.with_name(f"{out.stem}_masks"))
    for number, file, check in _find(rows["path"][bare], masks, folder):
        filled.loc[number, ["mask", "mask_source", "mask_check"]] = [
            os.path.relpath(file.absolute(), here),
            str(lungs),
            check,
        ]
    if drop_implausible:
        filled = filled[filled["mask_check"] == ""].reset_index(drop=True)
    if filled.empty:
        raise SemenetError(
            f"A manifest has one row or more. Received: {manifest_path}, of whose {len(rows)} masks found "
            "none can be lungs. Train the U-Net on, or keep them."
        )
    write_manifest(filled, out)
    return filled


def _find(paths, masks, folder):
    """Writes a mask for each of a Series of paths; yields the row's index, the file, the checks failed."""
    stems = unique_stems([pathlib.Path(path) for path in paths])
    rows = list(zip(paths.index, stems, paths, strict=True))
    for number, stem, path in track(rows, len(rows), "Finding lungs", size=lambda _: 1):
        image = read_image(path)
        (mask,) = masks.segment([image], image.shape)
        file = folder / f"{stem}.png"
        write_bytes(file, cv2.imencode(".png", mask.astype("uint8") * 255)[1].tobytes())
        wrong = failed_checks(tf.constant(mask[np.newaxis])).numpy()[0]
        yield number, file, " ".join(name for name, fails in zip(CHECKS, wrong, strict=True) if fails)
