"""Data sets of synthetic frontal chest radiographs with known lungs, lesions and markers.

They replace real radiographs where a demonstration or a test must not depend on a download. They can also
contain, on request, a shortcut that real collections have: a burnt-in letter that is correlated with the
class. They model neither disease prevalence nor a scanner: metrics on them say nothing about patients.
"""

import concurrent.futures
import contextlib
import json
import numbers
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from semenet.data.manifest.table import write_manifest
from semenet.data.phantom.arguments import LETTERS, PhantomError, check_classes, check_seed, check_size
from semenet.data.phantom.dicom_instance import dicom_instance
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.phantom.synthetic_rows import SOURCE
from semenet.storage.atomic import write_text
from semenet.storage.json_files import JsonError, read_json

CLASSES = ("normal", "bacteria", "virus")
MIN_PER_CLASS = 3

# Three of five successive patients of a class are in train, and every fourth patient has two images. Twenty
# patients thus have 25 images, and both patients and images are split 60/20/20.
_SPLITS = ("train", "val", "test", "train", "train")
_PATIENTS_PER_REPEAT = 4
_FOLDERS = ("images", "masks", "lesions")
_GENERATOR = "semenet.data.phantom"


def write_phantoms(
    folder: pathlib.Path | str,
    *,
    count: int = 240,
    size: int = 256,
    seed: int = 0,
    classes: Sequence[str] = CLASSES,
    marker_correlation: float = 0.0,
    dicom: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pathlib.Path:
    """Writes a data set of phantoms: `images/`, `masks/`, `lesions/` and, at the end, `manifest.csv`.

    The classes alternate, so that they are balanced in every split, and every fourth patient of a class
    has two images. Patients are split 60/20/20 into train, val and test. Image i depends on the seed, the
    classes, the size and the marker correlation, not on the count: a larger count appends images. Equal
    arguments write equal bytes.

    Phantoms of an earlier call are replaced; other files in the folder stay.

    Args:
        folder: folder to write into; it is created, or must be empty or written by an earlier call.
        count: number of images, at least three per class.
        size: image side in pixels, 64 to 1024.
        seed: non-negative int.
        classes: keys of `LETTERS`, each once.
        marker_correlation: in [0, 1], the share of images that carry the letter of their own class; the
            letter of every other image is drawn uniformly from the letters of all classes.
        dicom: whether to write the images as DICOM instances of a digital X-ray device, see
            `semenet.data.phantom.dicom_instance`, instead of PNG. Masks are PNG files.
        progress: None, or a function called after every image with the number of images written and the
            total.

    Returns:
        The path of the manifest. It has one row per image and the columns file, label, patient, split, mask
        (the lungs), lesion_mask, marker and source (`synthetic phantom`). Masks have the values 0 and 255;
        the lesion mask of a normal chest is 0 everywhere.

    Raises:
        PhantomError: an argument is out of range, or the folder holds other files or cannot be written.

    Example:
        >>> from semenet.data.phantom import write_phantoms
        >>> write_phantoms("phantoms", count=9, size=64).name
        'manifest.csv'
    """
    classes = check_classes(classes)
    check_size(size)
    check_seed(seed)
    _check_count(count, classes)
    if not 0 <= marker_correlation <= 1:
        raise PhantomError(
            "`marker_correlation` must be in [0, 1]. "
            f"Received: {marker_correlation}. Choose 0 for letters independent of the class, 1 for one "
            "letter per class."
        )
    folder = pathlib.Path(folder)
    settings = {
        "generator": _GENERATOR,
        "count": int(count),
        "size": int(size),
        "seed": int(seed),
        "classes": list(classes),
        "marker_correlation": float(marker_correlation),
    } | ({"dicom": True} if dicom else {})
    try:
        _prepare_folder(folder, settings)
        rows = []
        with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as executor:
            jobs = executor.map(lambda index: _write_image(folder, settings, index), range(count))
            with contextlib.closing(jobs):  # an exception here cancels the images not yet begun
                for row in jobs:
                    rows.append(row)
                    if progress is not None:
                        progress(len(rows), count)
        manifest = folder / "manifest.csv"
        write_manifest(pd.DataFrame(rows), manifest)
    except OSError as error:
        raise PhantomError(
            f"Phantoms need a folder that can be created and written. Received: {folder} ({error}). "
            "Choose another folder, or check its permissions and free space."
        ) from error
    return manifest


def _write_image(folder: pathlib.Path, settings: dict[str, Any], index: int) -> dict[str, str]:
    """Draws and writes image `index`, and returns its row of the manifest."""
    seed, classes = settings["seed"], settings["classes"]
    image_of_class, class_index = divmod(index, len(classes))
    label = classes[class_index]
    patient, repeated = _patient_of_image(image_of_class)
    first_index = index - len(classes) if repeated else index
    name = f"{index:06d}.png"
    letter = _draw_letter(label, classes, settings["marker_correlation"], (seed, index, 1))
    phantom = draw_radiograph(
        label, size=settings["size"], seed=(seed, index), patient=(seed, first_index), marker=letter
    )
    images = (phantom.image, phantom.lungs * np.uint8(255), phantom.lesion * np.uint8(255))
    patient_name = f"{label}-{patient:04d}"
    file = name
    for kind, image in zip(_FOLDERS, images, strict=True):
        if kind == _FOLDERS[0] and settings.get("dicom"):
            file = f"{index:06d}.dcm"
            (folder / kind / file).write_bytes(dicom_instance(image, patient_name, number=repeated))
            continue
        _, encoded = cv2.imencode(".png", image)
        (folder / kind / name).write_bytes(encoded.tobytes())
    return {
        "file": f"{_FOLDERS[0]}/{file}",
        "label": label,
        "patient": patient_name,
        "split": _SPLITS[patient % len(_SPLITS)],
        "mask": f"masks/{name}",
        "lesion_mask": f"lesions/{name}",
        "marker": letter,
        "source": SOURCE,
    }


def _patient_of_image(image_of_class: int) -> tuple[int, bool]:
    """Returns the patient's number for an image of a class, and whether it is that patient's second image."""
    cycle, place = divmod(image_of_class, _PATIENTS_PER_REPEAT + 1)
    repeated = place == _PATIENTS_PER_REPEAT
    return cycle * _PATIENTS_PER_REPEAT + place - repeated, repeated


def _draw_letter(label: str, classes: Sequence[str], correlation: float, seed: tuple[int, ...]) -> str:
    rng = np.random.default_rng(seed)
    own, any_class = rng.random() < correlation, classes[int(rng.integers(len(classes)))]
    return LETTERS[label if own else any_class]


def _prepare_folder(folder: pathlib.Path, settings: dict[str, Any]) -> None:
    """Creates the folder and deletes the phantoms of an earlier call; rejects folders with other files."""
    folder.mkdir(parents=True, exist_ok=True)
    settings_file = folder / "phantom.json"
    if any(folder.iterdir()) and not _is_phantom_settings(settings_file):
        raise PhantomError(
            "Phantoms need a new folder, an empty one, or one with earlier phantoms. "
            f"Received: {folder}, which holds other files. Choose another folder."
        )
    # The old manifest is deleted first, so that a manifest never lists missing files. The settings are
    # written next, so that a killed call can be repeated.
    (folder / "manifest.csv").unlink(missing_ok=True)
    write_text(settings_file, json.dumps(settings, indent=2) + "\n")
    for kind in _FOLDERS:
        (folder / kind).mkdir(exist_ok=True)
        for old in (folder / kind).iterdir():
            if re.fullmatch(r"\d{6,}\.(png|dcm)", old.name):
                old.unlink()


def _is_phantom_settings(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    try:
        settings = read_json(path, {"type": "object"})
    except JsonError:
        return False
    return settings.get("generator") == _GENERATOR


def _check_count(count: int, classes: Sequence[str]) -> None:
    least = MIN_PER_CLASS * len(classes)
    if not isinstance(count, numbers.Integral) or count < least:
        raise PhantomError(
            f"`count` must be at least {least}: {len(classes)} classes, each with images in train, val and "
            f"test. Received: {count!r}. Choose {least} or more."
        )
