"""Synthetic frontal chest radiographs whose lungs, lesions and markers are known.

They stand in for real radiographs where a demonstration or a test must not depend on a download, and they
plant, at will, the shortcut that real collections hide: a burnt-in letter that goes with the class. They are
no model of disease prevalence or of any scanner: no figure measured on them says anything about patients.
"""

import concurrent.futures
import contextlib
import json
import numbers
import os
import pathlib
import re

import cv2
import numpy as np
import pandas as pd

from semenet.data.manifest.table import write_manifest
from semenet.data.phantom.synthesis import (
    LETTERS,
    Phantom,
    PhantomError,
    check_classes,
    check_seed,
    check_size,
    radiograph,
)
from semenet.storage.atomic import write_text

__all__ = ["CLASSES", "LETTERS", "Phantom", "PhantomError", "radiograph", "write_phantoms"]

CLASSES = ("normal", "bacteria", "virus")
MIN_PER_CLASS = 3

# Of five successive patients of a class three train; every fourth patient was examined twice. Twenty patients
# have 25 images, and both patients and images split 60/20/20.
_SPLITS = ("train", "val", "test", "train", "train")
_EXAMINED_TWICE = 4
_FOLDERS = ("images", "masks", "lesions")


def write_phantoms(
    folder,
    *,
    count=240,
    size=256,
    seed=0,
    classes=CLASSES,
    marker_correlation=0.0,
    progress=None,
):
    """Writes a data set of phantoms: `images/`, `masks/`, `lesions/` and, last of all, `manifest.csv`.

    The classes take turns, so that they are balanced in every split, and every fourth patient of a class
    has two images. Patients are split 60/20/20 into train, val and test. Image i depends on the seed, the
    classes, the size and the marker correlation, not on the count: a larger count adds images to the same
    beginning. The same arguments write the same bytes.

    A folder that an earlier call filled is written anew; what others put there beside it stays.

    Args:
        folder: where to write; made where it does not exist, else empty or an earlier call's.
        count: images in total, at least three a class.
        size: image side in pixels, 64 to 1024.
        seed: non-negative int.
        classes: labels of `LETTERS`, each once.
        marker_correlation: in [0, 1], the share of images that carry their own class's letter; every other
            image's letter is drawn evenly from all the classes' letters.
        progress: called with (images written, images in total) after every image; None for nothing.

    Returns:
        the path of the manifest, which has a row an image: file, label, patient, split, mask (the lungs),
        lesion_mask, marker. Masks are 0 and 255; a normal chest's lesion mask is 0 throughout.

    Raises:
        PhantomError: an argument out of its range, or a folder that is not empty and no earlier call's, or
            cannot be written.
    """
    classes = check_classes(classes)
    check_size(size)
    check_seed(seed)
    _check_count(count, classes)
    if not 0 <= marker_correlation <= 1:
        raise PhantomError(
            "The marker correlation is a share from 0 to 1. "
            f"Received: {marker_correlation}. Choose 0 for letters that tell nothing, 1 for a letter a class."
        )
    folder = pathlib.Path(folder)
    settings = {
        "generator": __name__,
        "count": int(count),
        "size": int(size),
        "seed": int(seed),
        "classes": list(classes),
        "marker_correlation": float(marker_correlation),
    }
    try:
        _claim(folder, settings)
        rows = []
        with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as executor:
            jobs = executor.map(lambda index: _write_one(folder, settings, index), range(count))
            with contextlib.closing(jobs):  # an exception here cancels what has not begun
                for row in jobs:
                    rows.append(row)
                    if progress is not None:
                        progress(len(rows), count)
        manifest = folder / "manifest.csv"
        write_manifest(pd.DataFrame(rows), manifest)
    except OSError as error:
        raise PhantomError(
            f"Phantoms are written to a folder that can be made and written. Received: {folder} ({error}). "
            "Choose another folder, or see to its permissions and free space."
        ) from error
    return manifest


def _write_one(folder, settings, index):
    """Draws and writes image `index`; returns its row of the manifest."""
    seed, classes = settings["seed"], settings["classes"]
    turn, place = divmod(index, len(classes))
    label = classes[place]
    number, again = _patient(turn)
    first = index - len(classes) if again else index
    name = f"{index:06d}.png"
    letter = _letter(label, classes, settings["marker_correlation"], (seed, index, 1))
    phantom = radiograph(
        label, size=settings["size"], seed=(seed, index), patient=(seed, first), marker=letter
    )
    pictures = (phantom.image, phantom.lungs * np.uint8(255), phantom.lesion * np.uint8(255))
    for kind, picture in zip(_FOLDERS, pictures, strict=True):
        _, encoded = cv2.imencode(".png", picture)
        (folder / kind / name).write_bytes(encoded.tobytes())
    return {
        "file": f"images/{name}",
        "label": label,
        "patient": f"{label}-{number:04d}",
        "split": _SPLITS[number % len(_SPLITS)],
        "mask": f"masks/{name}",
        "lesion_mask": f"lesions/{name}",
        "marker": letter,
    }


def _patient(turn):
    """(number, whether this is the second image) of the patient to whom a class's image `turn` belongs."""
    cycle, place = divmod(turn, _EXAMINED_TWICE + 1)
    again = place == _EXAMINED_TWICE
    return cycle * _EXAMINED_TWICE + place - again, again


def _letter(label, classes, correlation, seed):
    rng = np.random.default_rng(seed)
    own, any_class = rng.random() < correlation, classes[rng.integers(len(classes))]
    return LETTERS[label if own else any_class]


def _claim(folder, settings):
    """Makes `folder` this generator's: refuses another's, and removes what an earlier call wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    signature = folder / "phantom.json"
    if any(folder.iterdir()) and not _is_ours(signature):
        raise PhantomError(
            "Phantoms are written to a new folder, an empty one, or one they were written to before. "
            f"Received: {folder}, which holds other files. Choose another folder."
        )
    # The old manifest goes first: at no time does one name a file that is not there. The signature comes
    # next, so that a call that was killed can be repeated.
    (folder / "manifest.csv").unlink(missing_ok=True)
    write_text(signature, json.dumps(settings, indent=2) + "\n")
    for kind in _FOLDERS:
        (folder / kind).mkdir(exist_ok=True)
        for old in (folder / kind).iterdir():
            if re.fullmatch(r"\d{6,}\.png", old.name):
                old.unlink()


def _is_ours(signature):
    if not signature.is_file():
        return False
    try:
        settings = json.loads(signature.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(settings, dict) and settings.get("generator") == __name__


def _check_count(count, classes):
    least = MIN_PER_CLASS * len(classes)
    if not isinstance(count, numbers.Integral) or count < least:
        raise PhantomError(
            f"Every class needs an image in each of train, val and test: {least} or more for {len(classes)} "
            f"classes. Received: a count of {count!r}. Choose {least} or more."
        )
