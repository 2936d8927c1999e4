"""A plain tree of folders, one a class, to the rows of a manifest."""

import os
import pathlib
import re

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.kermany import (
    NOT_STATED,
    SourceError,
    draw_splits,
    is_image,
    keep_patients_whole,
    tell,
)

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def folder_tree(folder, *, patient_pattern=None, source=None, license=NOT_STATED, shares=SHARES, seed=0):
    """Turns DIR/<class>/<image> or DIR/<split>/<class>/<image> into the rows of a manifest.

    Where all folders at the top are called train, val or test (or training, valid, validation, testing),
    they are the splits, and a patient in several goes whole into the last of train, val and test. Otherwise
    the folders at the top are the classes, and splits are drawn by patient.

    Args:
        folder: the tree's top.
        patient_pattern: regular expression with a group `patient`, searched for in each file's name without
            its suffix, such as r"^(?P<patient>[^_]+)_"; a patient is one over all classes. None takes each
            file for a patient of its own, with a `SourceWarning` of what that risks.
        source: str, the column `source`; None for the folder's name.
        license: str, the column `license`.
        shares: dict of split names to shares that sum to 1, where the tree has no splits.
        seed: int, of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file` (relative to `folder`, with forward slashes), `label`
        (the class folder's name), `patient`, `split`, `source` and `license`.

    Raises:
        SourceError: there is no folder or no image; splits and classes stand side by side; a split stands
            there under two names; an image stands at another depth; the pattern is none, or does not match
            every file.
    """
    folder = pathlib.Path(folder)
    pattern = None if patient_pattern is None else _compiled(patient_pattern)
    tops = _folders(folder)
    beside = [path for path in sorted(folder.iterdir()) if path.is_file() and is_image(path)]
    if beside:
        raise SourceError(
            "Every image of a tree must stand in a class's folder. "
            f"Received: {shorten([path.name for path in beside])} in {folder} itself. Move or remove these."
        )
    parts = [_SPLIT_NAMES.get(top.name.lower()) for top in tops]
    if any(parts) and not all(parts):
        raise SourceError(
            "Folders at the top are all splits (train, val, test) or all classes. "
            f"Received: {folder} with {shorten([top.name for top in tops])}. Put the classes into the splits."
        )
    splits = all(parts)
    if splits and len(set(parts)) < len(parts):
        raise SourceError(
            "Each split must have one folder. "
            f"Received: {folder} with {shorten([top.name for top in tops])}. Merge those of one meaning."
        )
    rows = [
        {
            "file": path.relative_to(folder).as_posix(),
            "label": path.parent.name,
            "patient": _patient(path, folder, pattern),
            "split": part if splits else "",
            "source": folder.resolve().name if source is None else source,
            "license": license,
        }
        for top, part in zip(tops, parts, strict=True)
        for path in _images(top, folder, depth=2 if splits else 1)
    ]
    if not rows:
        raise SourceError(
            "A tree has images in a folder a class: DIR/<class>/*.png or DIR/<split>/<class>/*.png. "
            f"Received: {folder}, where there are none. Name the folder that holds the classes."
        )
    frame = pd.DataFrame(rows).sort_values("file", ignore_index=True)
    if pattern is None:
        tell(
            f"No patient pattern: each of {len(frame)} files counts as a patient of its own. If a patient "
            "has several images, they may come to stand in train and in test, and every figure measured is "
            "then too good. Give the pattern of a patient's part of the names (--patient-pattern)."
        )
    if splits:
        return keep_patients_whole(frame)
    return frame.assign(split=draw_splits(frame, shares, seed))


def _compiled(pattern):
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SourceError(
            f"A patient pattern is a regular expression. Received: {pattern!r}: {error}. Mend it."
        ) from error
    if "patient" not in compiled.groupindex:
        raise SourceError(
            f"A patient pattern has a group `patient`. Received: {pattern!r}. Write (?P<patient>...) "
            "around the patient's part."
        )
    return compiled


def _folders(folder):
    if not folder.is_dir():
        raise SourceError(f"A tree is a folder. Received: {folder}, which is none. Check the path.")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(top, folder, depth):
    paths, others = [], []
    for path in sorted(_files_below(top, {os.path.realpath(folder)})):
        (paths if is_image(path) else others).append(path)
    _tell_left_out(others, top)
    misplaced = [str(path) for path in paths if len(path.relative_to(top).parts) != depth]
    if misplaced:
        form = "DIR/<split>/<class>/<image>" if depth == 2 else "DIR/<class>/<image>"
        raise SourceError(
            f"Every image of the tree must stand at {form}. Received: {shorten(misplaced)} below {folder}. "
            "Move or remove these."
        )
    return paths


def _files_below(top, seen):
    """The files of a folder, through links to folders not seen yet too; hidden ones are passed over."""
    for parent, folders, names in os.walk(top, followlinks=True):
        # A link to a folder above would go round for ever.
        seen.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) not in seen
        ]
        yield from (pathlib.Path(parent, name) for name in names if not name.startswith("."))


def _tell_left_out(files, place):
    if files:
        tell(
            f"{len(files)} files below {place} are left out, since their names do not end as an image's: "
            f"{shorten([file.name for file in files])}."
        )


def _patient(path, folder, pattern):
    if pattern is None:
        return path.relative_to(folder).with_suffix("").as_posix()
    found = pattern.search(path.stem)
    if found is None or not found["patient"]:
        raise SourceError(
            f"The patient pattern must match every file's name. Received: {path}, whose {path.stem!r} has no "
            f"{pattern.pattern!r}. Mend the pattern, or rename the file."
        )
    return found["patient"]
