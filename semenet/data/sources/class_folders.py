"""Data sets with one folder per class."""

import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.names import normal_form
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.source_rows import (
    NOT_STATED,
    SourceError,
    SourceNotFoundError,
    draw_splits,
    is_image_file,
    keep_patients_whole,
    warn_source,
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


def read_class_folders(
    folder: pathlib.Path | str,
    *,
    patient_pattern: str | None = None,
    source: str | None = None,
    license: str = NOT_STATED,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> pd.DataFrame:
    """Turns DIR/<class>/<image> or DIR/<split>/<class>/<image> into the rows of a manifest.

    If all top-level folders are named train, val or test (or training, valid, validation, testing), they are
    the splits, and a patient in several is moved to the last of train, val and test. Otherwise the top-level
    folders are the classes, and splits are drawn by patient.

    Args:
        folder: the top-level folder.
        patient_pattern: regular expression with a group `patient` that is searched in each file's name
            without its suffix, such as r"^(?P<patient>[^_]+)_". The same name in several classes is the same
            patient. With None each file counts as its own patient, and a `SourceWarning` explains the risk.
        source: value of the column `source`; None for the folder's name.
        license: value of the column `license`.
        shares: split names and their shares of the images, used if the folder has no splits; the shares sum
            to 1.
        seed: seed of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file` (relative to `folder`, with forward slashes), `label`
        (the class folder's name), `patient`, `split`, `source` and `license`.

    Raises:
        SourceError: the folder does not exist or has no image; it has both splits and classes at the top;
            a split has two folders; an image is at another depth; the pattern is invalid or does not match
            every file.

    Example:
        >>> import pathlib, shutil
        >>> from semenet.data.phantom import write_phantoms
        >>> from semenet.data.sources import read_class_folders
        >>> images = write_phantoms("set", count=9, size=64).parent / "images"
        >>> for number, image in enumerate(sorted(images.iterdir())):
        ...     target = pathlib.Path("tree", ("normal", "bacteria", "virus")[number % 3], image.name)
        ...     target.parent.mkdir(parents=True, exist_ok=True)
        ...     _ = shutil.copy(image, target)
        >>> rows = read_class_folders("tree", patient_pattern="(?P<patient>.+)")
        >>> rows["label"].value_counts().to_dict()
        {'bacteria': 3, 'normal': 3, 'virus': 3}
    """
    folder = pathlib.Path(folder)
    pattern = None if patient_pattern is None else _compile_pattern(patient_pattern)
    top_folders = _subfolders(folder)
    misplaced = [path for path in sorted(folder.iterdir()) if path.is_file() and is_image_file(path)]
    if misplaced:
        remedy = "Move or remove them." if top_folders else "If it is a class, pass the folder above it."
        raise SourceError(
            "Every image must be in the folder of a class. "
            f"Received: {shorten([path.name for path in misplaced])} in {folder} itself. {remedy}"
        )
    top_names = shorten([top.name for top in top_folders])
    parts = [_SPLIT_NAMES.get(top.name.lower()) for top in top_folders]
    if any(parts) and not all(parts):
        raise SourceError(
            "Top-level folders must be all splits (train, val, test) or all classes. "
            f"Received: {folder} with {top_names}. Move the classes into the splits."
        )
    has_splits = all(parts)
    if has_splits and len(set(parts)) < len(parts):
        raise SourceError(
            f"Each split must have one folder. Received: {folder} with {top_names}. "
            "Merge the folders of the same split."
        )
    found = [_image_files(top, folder) for top in top_folders]
    _check_depth(found, top_folders, folder, depth=2 if has_splits else 1)
    rows = [
        {
            "file": path.relative_to(folder).as_posix(),
            "label": normal_form(path.parent.name),
            "patient": _patient(path, folder, pattern),
            "split": part if has_splits else "",
            "source": folder.resolve().name if source is None else source,
            "license": license,
        }
        for images, part in zip(found, parts, strict=True)
        for path in images
    ]
    if not rows:
        raise SourceError(
            "There must be images in the folders of classes: DIR/<class>/*.png or DIR/<split>/<class>/*.png. "
            f"Received: {folder}, where there are none. Pass the folder that contains the classes."
        )
    frame = pd.DataFrame(rows).sort_values("file", ignore_index=True)
    if pattern is None:
        warn_source(
            f"No patient pattern: each of {len(frame)} files counts as its own patient. If patients have "
            "several images, these may be in both train and test, and every metric is then too optimistic. "
            "Pass a pattern for the patient's part of the file names (--patient-pattern)."
        )
    if has_splits:
        return keep_patients_whole(frame)
    return frame.assign(split=draw_splits(frame, shares, seed))


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SourceError(
            f"A patient pattern must be a regular expression. Received: {pattern!r}: {error}. Fix it."
        ) from error
    if "patient" not in compiled.groupindex:
        raise SourceError(
            f"A patient pattern must have a group `patient`. Received: {pattern!r}. Write (?P<patient>...) "
            "around the patient's part."
        )
    return compiled


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    if not folder.is_dir():
        raise SourceNotFoundError(
            "The path must be a folder that contains the classes. "
            f"Received: {folder}, which is not a folder. Check the path."
        )
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _image_files(top: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
    paths: list[pathlib.Path] = []
    others: list[pathlib.Path] = []
    for path in sorted(_files_below(top, {os.path.realpath(folder)})):
        (paths if is_image_file(path) else others).append(path)
    _warn_left_out(others, top)
    return paths


def _check_depth(
    found: Sequence[Sequence[pathlib.Path]], tops: Sequence[pathlib.Path], folder: pathlib.Path, depth: int
) -> None:
    """Rejects images at another depth than `depth` below the top-level folders.

    Args:
        found: the images of each top-level folder.
        tops: the top-level folders.
        folder: the folder that contains them.
        depth: 2 if they are splits, 1 if they are classes.
    """
    images = [(path, top) for top, own in zip(tops, found, strict=True) for path in own]
    depths = {path: len(path.relative_to(top).parts) for path, top in images}
    misplaced = [str(path) for path in depths if depths[path] != depth]
    if not misplaced:
        return
    form = "DIR/<split>/<class>/<image>" if depth == 2 else "DIR/<class>/<image>"
    remedy = "Move or remove these."
    if min(depths.values()) > depth:
        # Nothing is where it should be: the user passed a folder above the one that contains the classes.
        remedy = f"Below {images[0][1]} there must be the folders of the classes alone."
        if depth == 1:
            remedy = _deeper_remedy([path for path, _ in images])
        remedy = f"All images are deeper. {remedy}"
    raise SourceError(
        f"Every image must be at {form}. Received: {shorten(misplaced)} below {folder}. {remedy}"
    )


def _deeper_remedy(images: Sequence[pathlib.Path]) -> str:
    """Returns what to pass in place of a folder with images below the folders of its classes."""
    classes: dict[pathlib.Path, set[str]] = {}
    for path in images:
        classes.setdefault(path.parent.parent, set()).add(path.parent.name)
    parents = list(classes)
    if all(parent.name.lower() in _SPLIT_NAMES for parent in parents):
        return f"Pass a folder that contains the splits, such as {parents[0].parent}."
    if len(parents) > 1 and not set.intersection(*classes.values()):
        return (
            f"If {parents[0].name} is a class and {images[0].parent.name} a patient, move the images up into "
            "the folder of the class, or write a manifest with the columns file, label and patient."
        )
    return f"Pass a folder that contains the classes, such as {parents[0]}."


def _files_below(top: pathlib.Path, seen: set[str]) -> Iterator[pathlib.Path]:
    """Yields the files below a folder, also through links to folders not seen yet, without hidden files."""
    for parent, folders, names in os.walk(top, followlinks=True):
        # A link to a parent folder would loop forever.
        seen.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) not in seen
        ]
        yield from (pathlib.Path(parent, name) for name in names if not name.startswith("."))


def _warn_left_out(files: Sequence[pathlib.Path], top: pathlib.Path) -> None:
    if files:
        warn_source(
            f"{len(files)} files below {top} are left out, since their names have no suffix of an image: "
            f"{shorten([file.name for file in files])}."
        )


def _patient(path: pathlib.Path, folder: pathlib.Path, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return normal_form(path.relative_to(folder).with_suffix("").as_posix())
    match = pattern.search(normal_form(path.stem))
    if match is None or not match["patient"]:
        raise SourceError(
            f"The patient pattern must match every file's name. Received: {path}, whose name {path.stem!r} "
            f"does not match {pattern.pattern!r}. Fix the pattern, or rename the file."
        )
    return match["patient"]
