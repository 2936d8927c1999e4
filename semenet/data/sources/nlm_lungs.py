"""The tuberculosis sets of the National Library of Medicine, Montgomery and Shenzhen, with lung masks."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd

from semenet.data.images.reading import read_mask
from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.source_rows import (
    SourceError,
    SourceNotFoundError,
    draw_splits,
    is_image_file,
    relative_path,
    warn_source,
)
from semenet.storage.atomic import output_folder, write_bytes

_LABELS = {"0": "normal", "1": "tuberculosis"}
_LICENSE = "not stated; cite the National Library of Medicine"
_MASK_LICENSE = "CC BY-NC-SA 4.0 (masks)"
_SEX = re.compile(r"\b(?:sex:\s*)?(male|female|femal|m|f)\b", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*(year|yr|y|month|m|day|d)", re.IGNORECASE)
_UNITS_PER_YEAR = {"y": 1, "m": 12, "d": 365}


def read_montgomery(
    folder: pathlib.Path | str,
    *,
    masks_out: pathlib.Path | str,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> pd.DataFrame:
    """Turns the Montgomery County set into the rows of a manifest, and writes masks of both lungs.

    The label is the last digit of a file's name: `MCUCXR_0001_0.png` is normal, `_1` tuberculosis. Each image
    is a patient. The masks, drawn by hand, exclude the parts of the lungs behind the heart and the diaphragm.

    Reference: Jaeger et al., Quant Imaging Med Surg 4 (2014) 475; Candemir et al., IEEE Trans Med Imaging
    33 (2014) 577;
    https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/Montgomery-County-CXR-Set

    Args:
        folder: the unpacked folder `MontgomerySet` or its parent, with CXR_png, ManualMask/leftMask,
            ManualMask/rightMask, and optionally ClinicalReadings.
        masks_out: folder to write the combined masks into, one PNG per image, 0 outside and 255 inside; it is
            created.
        shares: split names and their shares of the images; the shares sum to 1.
        seed: seed of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file` and `mask` (relative to `folder`), `label`, `patient`,
        `split`, `source`, `license`, and from the readings `sex` (F, M or "") and `age` (whole years, or "").

    Raises:
        SourceError: the folder has another layout, a file has another name, or a mask is missing or its size
            differs from that of the other lung's mask.
        ImageError: a mask cannot be read.
    """
    top = _set_folder(folder, "MontgomerySet", "Montgomery")
    rows = _read_rows(top, folder, re.compile(r"MCUCXR_(?P<number>\d+)_(?P<label>[01])"), "montgomery")
    mask_folders = [top / "ManualMask" / f"{side}Mask" for side in ("left", "right")]
    lung_masks = [mask_folder / row["name"] for row in rows for mask_folder in mask_folders]
    missing = [str(path) for path in lung_masks if not path.is_file()]
    if missing:
        raise SourceNotFoundError(
            "Every Montgomery image must have a mask with its name in ManualMask/leftMask and in "
            f"ManualMask/rightMask. Received: {folder}, without {shorten(missing)}. Unpack the archive again."
        )
    masks_out = output_folder(masks_out)
    for row in rows:
        combined = masks_out / row["name"]
        write_mask(combined, _combine_lungs(*(mask_folder / row["name"] for mask_folder in mask_folders)))
        row["mask"] = relative_path(combined, folder)
    return _as_frame(rows, shares, seed)


def read_shenzhen(
    folder: pathlib.Path | str,
    *,
    masks: pathlib.Path | str | None = None,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> pd.DataFrame:
    """Turns the Shenzhen Hospital set into the rows of a manifest.

    The label is the last digit of a file's name: `CHNCXR_0001_0.png` is normal, `_1` tuberculosis. Each image
    is a patient. The publisher provides no masks: those of Stirenko et al. are a separate download, with 566
    masks for the 662 images.

    Reference: Jaeger et al., Quant Imaging Med Surg 4 (2014) 475; Stirenko et al., arXiv:1803.01199;
    https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/Shenzhen-Hospital-CXR-Set

    Args:
        folder: the unpacked folder `ChinaSet_AllFiles` or its parent, with CXR_png and optionally
            ClinicalReadings.
        masks: folder with the masks `CHNCXR_0001_0_mask.png`, at any depth. Images without a mask are left
            out and counted in a `SourceWarning`. None for all images, without the column `mask`.
        shares: split names and their shares of the images; the shares sum to 1.
        seed: seed of the draw of the splits.

    Returns:
        As `read_montgomery`, with `mask` only if `masks` is given.

    Raises:
        SourceError: the folder has another layout, a file has another name, or `masks` contains none of the
            masks.
    """
    top = _set_folder(folder, "ChinaSet_AllFiles", "Shenzhen")
    rows = _read_rows(top, folder, re.compile(r"CHNCXR_(?P<number>\d+)_(?P<label>[01])"), "shenzhen")
    if masks is not None:
        found = {path.name: path for path in sorted(pathlib.Path(masks).rglob("CHNCXR_*_mask.png"))}
        for row in rows:
            path = found.get(f"{pathlib.Path(row['name']).stem}_mask.png")
            row["mask"] = "" if path is None else relative_path(path, folder)
            row["license"] = f"{_LICENSE}; {_MASK_LICENSE}"
        without = [row["name"] for row in rows if not row["mask"]]
        if len(without) == len(rows):
            raise SourceError(
                "Masks of the Shenzhen set must be named like CHNCXR_0001_0_mask.png. "
                f"Received: {masks}, without a mask for any of {len(rows)} images. Pass the folder the masks "
                "were unpacked into."
            )
        if without:
            warn_source(
                f"Shenzhen: {len(without)} of {len(rows)} images have no mask and were left out: "
                f"{shorten(without)}."
            )
        rows = [row for row in rows if row["mask"]]
    return _as_frame(rows, shares, seed)


def write_mask(path: pathlib.Path, mask: np.ndarray) -> None:
    """Writes a lung mask as PNG.

    Args:
        path: file to write; its folder must exist.
        mask: uint8 array (height, width), 0 outside and 1 inside; 1 is written as 255.
    """
    _, encoded = cv2.imencode(".png", mask * np.uint8(255))
    write_bytes(path, encoded.tobytes())


def _set_folder(folder: pathlib.Path | str, name: str, set_name: str) -> pathlib.Path:
    folder = pathlib.Path(folder)
    top = folder / name if (folder / name).is_dir() else folder
    if not (top / "CXR_png").is_dir():
        raise SourceNotFoundError(
            f"The {set_name} set's folder must be {name}, with CXR_png in it. Received: {folder}, which has "
            "no CXR_png. Pass the folder the archive was unpacked into."
        )
    return top


def _read_rows(
    top: pathlib.Path, folder: pathlib.Path | str, pattern: re.Pattern[str], source: str
) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(filter(is_image_file, (top / "CXR_png").iterdir())):
        match = pattern.fullmatch(path.stem)
        if match is None:
            raise SourceError(
                f"A file's name in CXR_png must be like {pattern.pattern.split('_')[0]}_0001_0.png. "
                f"Received: {path}. Remove it, or restore the publisher's name."
            )
        rows.append(
            {
                "name": path.name,
                "file": path.relative_to(folder).as_posix(),
                "label": _LABELS[match["label"]],
                "patient": f"{source}-{match['number']}",
                "source": source,
                "license": _LICENSE,
                **_read_sex_and_age(top / "ClinicalReadings" / f"{path.stem}.txt"),
            }
        )
    if not rows:
        raise SourceError(
            f"CXR_png must hold PNG files. Received: {top}, where it is empty. Unpack the archive again."
        )
    return rows


def _read_sex_and_age(path: pathlib.Path) -> dict[str, str]:
    """Reads "Patient's Sex: F" and "Patient's Age: 027Y", or "male 45yrs" and "Female, 9 months"."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    sex, age = _SEX.search(text), _AGE.search(text)
    return {
        "sex": sex[1][0].upper() if sex else "",
        "age": str(int(age[1]) // _UNITS_PER_YEAR[age[2][0].lower()]) if age else "",
    }


def _combine_lungs(left: pathlib.Path, right: pathlib.Path) -> np.ndarray:
    left_mask, right_mask = read_mask(left), read_mask(right)
    if left_mask.shape != right_mask.shape:
        raise SourceError(
            f"The masks of both lungs must have the same size. Received: {left} of {left_mask.shape} and "
            f"{right} of {right_mask.shape} (height, width). Unpack the archive again."
        )
    return np.maximum(left_mask, right_mask)


def _as_frame(rows: list[dict[str, Any]], shares: Mapping[str, float], seed: int) -> pd.DataFrame:
    frame = pd.DataFrame(rows).drop(columns="name").sort_values("file", ignore_index=True)
    frame.insert(3, "split", draw_splits(frame, shares, seed))
    return frame
