"""The National Library of Medicine's tuberculosis sets, with lung masks, to the rows of a manifest."""

import pathlib
import re

import cv2
import numpy as np
import pandas as pd

from semenet.data.images.reading import read_mask
from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.kermany import SourceError, draw_splits, is_image, relative, tell
from semenet.storage.atomic import output_folder, write_bytes

_LABELS = {"0": "normal", "1": "tuberculosis"}
_LICENSE = "not stated; cite the National Library of Medicine"
_MASK_LICENSE = "CC BY-NC-SA 4.0 (masks)"
_SEX = re.compile(r"\b(?:sex:\s*)?(male|female|femal|m|f)\b", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*(year|yr|y|month|m|day|d)", re.IGNORECASE)
_UNITS_A_YEAR = {"y": 1, "m": 12, "d": 365}


def montgomery(folder, masks, *, shares=SHARES, seed=0):
    """Turns the Montgomery County set into the rows of a manifest, both lungs in one mask.

    Labels are the last digit of the file names, `MCUCXR_0001_0.png` normal, `_1` tuberculosis; an image is a
    patient. The masks, drawn by hand, leave out what lies behind the heart and the diaphragm.

    Reference: Jaeger et al., Quant Imaging Med Surg 4 (2014) 475; Candemir et al., IEEE Trans Med Imaging
    33 (2014) 577;
    https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/Montgomery-County-CXR-Set

    Args:
        folder: the unpacked folder `MontgomerySet`, or the one it lies in, with CXR_png,
            ManualMask/leftMask and ManualMask/rightMask, and ClinicalReadings if it is there.
        masks: folder to write the united masks into, one PNG an image, 0 outside and 255 inside; it is made.
        shares: dict of split names to shares that sum to 1.
        seed: int, of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file` and `mask` (relative to `folder`), `label`, `patient`,
        `split`, `source`, `license`, and of the readings `sex` (F, M or "") and `age` (whole years, or "").

    Raises:
        SourceError: the folder has no such layout, a file has another name, or a mask is absent or of another
            size than its twin.
        ImageError: a mask cannot be read.
    """
    base = _base(folder, "MontgomerySet", "Montgomery")
    rows = _rows(base, folder, re.compile(r"MCUCXR_(?P<number>\d+)_(?P<label>[01])"), "montgomery")
    halves = {side: base / "ManualMask" / f"{side}Mask" for side in ("left", "right")}
    pairs = [side / row["name"] for row in rows for side in halves.values()]
    absent = [str(path) for path in pairs if not path.is_file()]
    if absent:
        raise SourceError(
            "Every Montgomery image has a mask of its name in ManualMask/leftMask and in "
            f"ManualMask/rightMask. Received: {folder}, without {shorten(absent)}. Unpack the archive again."
        )
    masks = output_folder(masks)
    for row in rows:
        united = masks / row["name"]
        write_mask(united, _united(*(side / row["name"] for side in halves.values())))
        row["mask"] = relative(united, folder)
    return _split(rows, shares, seed)


def shenzhen(folder, masks=None, *, shares=SHARES, seed=0):
    """Turns the Shenzhen Hospital set into the rows of a manifest.

    Labels are the last digit of the file names, `CHNCXR_0001_0.png` normal, `_1` tuberculosis; an image is a
    patient. The publisher gives no masks: those of Stirenko et al. are a download of their own, and there
    are 566 of them for 662 images.

    Reference: Jaeger et al., Quant Imaging Med Surg 4 (2014) 475; Stirenko et al., arXiv:1803.01199;
    https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/Shenzhen-Hospital-CXR-Set

    Args:
        folder: the unpacked folder `ChinaSet_AllFiles`, or the one it lies in, with CXR_png, and
            ClinicalReadings if it is there.
        masks: the folder with the masks `CHNCXR_0001_0_mask.png`, at any depth: images without one are left
            out, and counted in a `SourceWarning`. None for all images, and no column `mask`.
        shares: dict of split names to shares that sum to 1.
        seed: int, of the draw of the splits.

    Returns:
        As `montgomery`; `mask` only if masks are given.

    Raises:
        SourceError: the folder has no such layout, a file has another name, or `masks` holds no mask
            of these.
    """
    base = _base(folder, "ChinaSet_AllFiles", "Shenzhen")
    rows = _rows(base, folder, re.compile(r"CHNCXR_(?P<number>\d+)_(?P<label>[01])"), "shenzhen")
    if masks is not None:
        found = {path.name: path for path in sorted(pathlib.Path(masks).rglob("CHNCXR_*_mask.png"))}
        for row in rows:
            path = found.get(f"{pathlib.Path(row['name']).stem}_mask.png")
            row["mask"] = "" if path is None else relative(path, folder)
            row["license"] = f"{_LICENSE}; {_MASK_LICENSE}"
        without = [row["name"] for row in rows if not row["mask"]]
        if len(without) == len(rows):
            raise SourceError(
                "Masks of the Shenzhen set are called CHNCXR_0001_0_mask.png. "
                f"Received: {masks}, without one for any of {len(rows)} images. Name the folder the masks "
                "were unpacked into."
            )
        if without:
            tell(
                f"Shenzhen: {len(without)} of {len(rows)} images have no mask and were left out: "
                f"{shorten(without)}."
            )
        rows = [row for row in rows if row["mask"]]
    return _split(rows, shares, seed)


def write_mask(path, mask):
    """Writes a lung mask as PNG.

    Args:
        path: pathlib.Path; its folder must exist.
        mask: uint8 array (height, width), 0 outside and 1 inside; 1 becomes 255.
    """
    _, encoded = cv2.imencode(".png", mask * np.uint8(255))
    write_bytes(path, encoded.tobytes())


def _base(folder, inner, name):
    folder = pathlib.Path(folder)
    base = folder / inner if (folder / inner).is_dir() else folder
    if not (base / "CXR_png").is_dir():
        raise SourceError(
            f"The {name} set's folder is {inner}, with CXR_png in it. Received: {folder}, which has not. "
            "Name the folder the archive was unpacked into."
        )
    return base


def _rows(base, folder, pattern, source):
    rows = []
    for path in sorted(filter(is_image, (base / "CXR_png").iterdir())):
        named = pattern.fullmatch(path.stem)
        if named is None:
            raise SourceError(
                f"A file's name in CXR_png must be as {pattern.pattern.split('_')[0]}_0001_0.png. "
                f"Received: {path}. Remove it, or give it the publisher's name."
            )
        rows.append(
            {
                "name": path.name,
                "file": path.relative_to(folder).as_posix(),
                "label": _LABELS[named["label"]],
                "patient": f"{source}-{named['number']}",
                "source": source,
                "license": _LICENSE,
                **_reading(base / "ClinicalReadings" / f"{path.stem}.txt"),
            }
        )
    if not rows:
        raise SourceError(
            f"CXR_png holds PNG files. Received: {base}, where it is empty. Unpack the archive again."
        )
    return rows


def _reading(path):
    """Sex and age: of "Patient's Sex: F", "Patient's Age: 027Y", or of "male 45yrs", "Female, 9 months"."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    sex, age = _SEX.search(text), _AGE.search(text)
    return {
        "sex": sex[1][0].upper() if sex else "",
        "age": str(int(age[1]) // _UNITS_A_YEAR[age[2][0].lower()]) if age else "",
    }


def _united(left, right):
    left_mask, right_mask = read_mask(left), read_mask(right)
    if left_mask.shape != right_mask.shape:
        raise SourceError(
            f"The masks of both lungs must have one size. Received: {left} of {left_mask.shape} and "
            f"{right} of {right_mask.shape} (height, width). Unpack the archive again."
        )
    return np.maximum(left_mask, right_mask)


def _split(rows, shares, seed):
    frame = pd.DataFrame(rows).drop(columns="name").sort_values("file", ignore_index=True)
    frame.insert(3, "split", draw_splits(frame, shares, seed))
    return frame
