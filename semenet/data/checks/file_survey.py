"""Reads every file of a manifest once: errors, sizes, grey levels, hashes and thumbnails."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.checks.duplicates import SIDE, make_thumbnail
from semenet.data.images.contents import read_contents
from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image, read_mask
from semenet.data.images.time_limit import within_time


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """The contents of the files of a manifest's rows.

    Attributes:
        files: one row for each row of the manifest, in its order: `error` and `mask_error` (text, "" if the
            file can be used), `bytes_sha256` and `mask_bytes_sha256` ("" if the file is missing),
            `pixels_sha256` (of size and grey levels, "" if the image cannot be read), `height` and `width` in
            pixels, `mean` and `deviation` of the grey levels in [0, 255], `black` and `white`, the shares of
            pixels at 0 and at 255, and `mask_share`, the share of the mask's pixels that are inside; numbers
            are NaN without an image or mask.
        thumbnails: uint8 array (rows, 64, 64); 0 without an image.
    """

    files: pd.DataFrame
    thumbnails: np.ndarray


def survey_files(rows: pd.DataFrame, progress: Callable[[int, int], None] | None = None) -> Survey:
    """Reads the images and masks of a manifest's rows, with one thread per core.

    Args:
        rows: rows of a manifest, as `read_manifest` returns them, with `path` and optionally `mask_path`.
        progress: None, or a function called with the number of rows read and the total.

    Returns:
        The survey. A file that cannot be read raises no error; the survey has the reason.
    """
    masks = rows["mask_path"].tolist() if "mask_path" in rows else [""] * len(rows)
    thumbnails = np.zeros((len(rows), SIDE, SIDE), np.uint8)
    records = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, (record, thumbnail) in enumerate(pool.map(_survey_row, rows["path"].tolist(), masks)):
            records.append(record)
            if thumbnail is not None:
                thumbnails[index] = thumbnail
            if progress is not None:
                progress(index + 1, len(rows))
    return Survey(pd.DataFrame(records, index=rows.index), thumbnails)


def content_hash(files: pd.DataFrame) -> str | None:
    """Returns a hash of the bytes of all images and masks, which shows whether two data sets are equal.

    It is the SHA-256 of a text with one line per row: the SHA-256 of the image's bytes, a space, and the
    SHA-256 of the mask's bytes ("" without a mask), both hexadecimal. The lines are sorted, and each ends in
    "\\n". Names, folders, labels, splits and the order of rows do not change it; `Manifest.sha256` covers
    these.

    Args:
        files: `Survey.files`.

    Returns:
        Hexadecimal text, or None if a file is missing.
    """
    if (files["bytes_sha256"] == "").any() or (
        files["mask_error"].ne("") & files["mask_bytes_sha256"].eq("")
    ).any():
        return None
    lines = sorted(files["bytes_sha256"] + " " + files["mask_bytes_sha256"] + "\n")
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def pixels_sha256(image: np.ndarray) -> str:
    """Returns a hash of an image's size and grey levels, equal for all lossless formats.

    Args:
        image: uint8 array (height, width).

    Returns:
        Hexadecimal text.
    """
    digest = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:".encode("ascii"))
    digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()


def _survey_row(path: str, mask_path: str) -> tuple[dict[str, Any], np.ndarray | None]:
    """Returns the row of `Survey.files` and the thumbnail, or None if the image cannot be read."""
    record = dict.fromkeys(("error", "mask_error", "bytes_sha256", "mask_bytes_sha256", "pixels_sha256"), "")
    record |= dict.fromkeys(("height", "width", "mean", "deviation", "black", "white", "mask_share"), np.nan)
    image, record["bytes_sha256"], record["error"] = _read(path, read_image)
    thumbnail = None
    if image is not None:
        record["height"], record["width"] = image.shape
        record["mean"], record["deviation"] = image.mean(), image.std()
        record["black"], record["white"] = np.mean(image == 0), np.mean(image == 255)
        record["pixels_sha256"] = pixels_sha256(image)
        thumbnail = make_thumbnail(image)
    if mask_path:
        mask, record["mask_bytes_sha256"], record["mask_error"] = _read(mask_path, read_mask)
        if mask is not None:
            record["mask_share"] = mask.mean()
            if image is not None and mask.shape != image.shape:
                record["mask_error"] = (
                    "A mask must have the size of its image. "
                    f"Received: {mask_path} of {mask.shape[0]} x {mask.shape[1]} pixels for {path} of "
                    f"{image.shape[0]} x {image.shape[1]}. Make the mask from this image, or resize it."
                )
    return record, thumbnail


def _read(path: pathlib.Path | str, reader: Callable[..., np.ndarray]) -> tuple[np.ndarray | None, str, str]:
    """Returns the pixels or None, the SHA-256 of the bytes or "", and the error or ""."""
    try:
        contents = read_contents(path)
    except ImageError as error:
        return None, "", str(error)
    digest = hashlib.sha256(contents).hexdigest()
    try:
        return within_time(lambda: reader(contents, name=path), str(path)), digest, ""
    except ImageError as error:
        return None, digest, str(error)
