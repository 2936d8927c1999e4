"""Reads every file of a manifest once: what cannot be read and why, sizes, tones, contents and thumbnails."""

import concurrent.futures
import dataclasses
import hashlib
import os

import numpy as np
import pandas as pd

from semenet.data.checks.duplicates import SIDE, thumbnail
from semenet.data.images.contents import read_contents
from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image, read_mask


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """What the files of a manifest's rows hold.

    Attributes:
        files: a DataFrame with a row for each row of the manifest, in its order: `error` and `mask_error`
        (text,
            "" where the file can be used), `bytes_sha256` and `mask_bytes_sha256` ("" where there is no
            file), `pixels_sha256` (of size and grey levels, "" where it cannot be read), `height` and
            `width` in pixels, `mean` and `deviation` of the grey levels in [0, 255], `black` and `white`,
            the shares of pixels at 0 and at 255, and `mask_share`, the share of the mask's pixels that are
            inside; numbers are NaN where there is no image or mask.
        thumbnails: uint8 array of shape (rows, 64, 64); 0 where there is no image.
    """

    files: pd.DataFrame
    thumbnails: np.ndarray


def survey(rows, progress=None):
    """Reads the images and masks of a manifest's rows, in as many threads as there are cores.

    Args:
        rows: rows of a manifest as `read_manifest` gives them, with `path` and perhaps `mask_path`.
        progress: None, or a function of the number of rows read and of all.

    Returns:
        A `Survey`. A file that cannot be read raises nothing: it is listed with its reason.
    """
    masks = rows["mask_path"].tolist() if "mask_path" in rows else [""] * len(rows)
    thumbnails = np.zeros((len(rows), SIDE, SIDE), np.uint8)
    records = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, (record, small) in enumerate(pool.map(_examine, rows["path"].tolist(), masks)):
            records.append(record)
            if small is not None:
                thumbnails[index] = small
            if progress is not None:
                progress(index + 1, len(rows))
    return Survey(pd.DataFrame(records, index=rows.index), thumbnails)


def content_hash(files):
    """A hash over the bytes of all images and masks, to tell whether two copies of a data set are the same.

    It is the SHA-256 of the text that has a line for each row, the SHA-256 of the image's bytes, a space
    and that of the mask's ("" where there is none), both hexadecimal, lines sorted and each ended by "\\n".
    Names, folders, labels, splits and the order of rows do not enter into it; those are
    `Manifest.sha256`'s.

    Args:
        files: `Survey.files`.

    Returns:
        Hexadecimal text, or None where a file is absent, since then there is no content to speak of.
    """
    if (files["bytes_sha256"] == "").any() or (
        files["mask_error"].ne("") & files["mask_bytes_sha256"].eq("")
    ).any():
        return None
    lines = sorted(files["bytes_sha256"] + " " + files["mask_bytes_sha256"] + "\n")
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def pixels_sha256(image):
    """A hash over an image's size and grey levels, the same whatever lossless format stored it.

    Args:
        image: uint8 array of shape (height, width).

    Returns:
        Hexadecimal text.
    """
    digest = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:".encode("ascii"))
    digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()


def _examine(path, mask_path):
    record = dict.fromkeys(("error", "mask_error", "bytes_sha256", "mask_bytes_sha256", "pixels_sha256"), "")
    record |= dict.fromkeys(("height", "width", "mean", "deviation", "black", "white", "mask_share"), np.nan)
    image, record["bytes_sha256"], record["error"] = _read(path, read_image)
    small = None
    if image is not None:
        record["height"], record["width"] = image.shape
        record["mean"], record["deviation"] = image.mean(), image.std()
        record["black"], record["white"] = np.mean(image == 0), np.mean(image == 255)
        record["pixels_sha256"] = pixels_sha256(image)
        small = thumbnail(image)
    if mask_path:
        mask, record["mask_bytes_sha256"], record["mask_error"] = _read(mask_path, read_mask)
        if mask is not None:
            record["mask_share"] = mask.mean()
            if image is not None and mask.shape != image.shape:
                record["mask_error"] = (
                    "A mask must be of its image's size. "
                    f"Received: {mask_path} of {mask.shape[0]} x {mask.shape[1]} pixels for {path} of "
                    f"{image.shape[0]} x {image.shape[1]}. Draw or resize it on the image."
                )
    return record, small


def _read(path, reader):
    """The pixels or None, the SHA-256 of the bytes or "", and the reason why there are no pixels or ""."""
    try:
        contents = read_contents(path)
    except ImageError as error:
        return None, "", str(error)
    digest = hashlib.sha256(contents).hexdigest()
    try:
        return reader(contents, name=path), digest, ""
    except ImageError as error:
        return None, digest, str(error)
