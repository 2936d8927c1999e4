"""Public data sets, as they unpack, to the rows of a manifest: Kermany's, and what every source shares.

A source is a function of a folder. It gives a DataFrame of text, a row an image: `file` (relative to
the folder, with forward slashes), `label`, `patient`, `split`, `source`, `license`, and what else its
publisher tells. No patient stands in two splits. What is left out or moved is said in a `SourceWarning`.
"""

import os
import pathlib
import re
import warnings

import numpy as np
import pandas as pd

from semenet.data.images.listing import IMAGE_SUFFIXES
from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import split_patients
from semenet.errors import SemenetError

SPLITS = ("train", "val", "test")
NOT_STATED = "not stated"
_KERMANY_PNEUMONIA = re.compile(r"(?P<patient>person\d+)_(?P<label>bacteria|virus)_\d+(_\d+)?")
_KERMANY_NORMAL = re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?")


class SourceError(SemenetError):
    """A downloaded folder that is not as its publisher lays it out."""


class SourceWarning(UserWarning):
    """What was left out of a source or moved in it, and what its publisher does not tell."""


def kermany(folder, *, val_share=0.1, seed=0):
    """Turns Kermany's pediatric chest X-rays into the rows of a manifest.

    Labels and patients are in the file names: `personN_bacteria_M.jpeg`, `personN_virus_M.jpeg`, and
    `IM-N-M.jpeg` or `NORMAL2-IM-N-M.jpeg` for normal ones. The publisher's parts become the splits, with one
    change: a patient who stands in several parts goes whole into the last of train, val and test that he
    stands in, so that nothing of a test patient is trained on. Numbers of patients count within a label:
    whether `person10` of bacteria and of virus is one child is not known. Where the edition has no val (that
    of Mendeley Data has none), a share of each label's training patients becomes it.

    Reference: Kermany et al., Cell 172 (2018); https://data.mendeley.com/datasets/rscbjbr9sj/2, CC BY 4.0.

    Args:
        folder: the unpacked folder `chest_xray` or the one it lies in, with
            {train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg below; val may lack.
        val_share: float in (0, 1), the share of each label's training patients that become val where the
            edition has none; at least one patient a label.
        seed: int, of the draw of those patients.

    Returns:
        A DataFrame of text, sorted by `file`: `file` (relative to `folder`, with forward slashes), `label`
        ("normal", "bacteria" or "virus"), `patient`, `split`, `source` and `license`.

    Raises:
        SourceError: the folder has no such layout, or a file's name tells no label or not its folder's.
        ValueError: `val_share` is no share.
    """
    if not 0 < val_share < 1:
        raise SemenetError(f"`val_share` must lie between 0 and 1. Received: {val_share}. The usual is 0.1.")
    frame = kermany_parts(folder)
    if not (_kermany_base(folder) / "val").is_dir():
        frame.loc[frame["patient"].isin(_drawn_patients(frame, val_share, seed)), "split"] = "val"
    return frame


def kermany_parts(folder):
    """Reads Kermany's folder as `kermany` does, but draws no val where the edition has none.

    Args:
        folder: as for `kermany`.

    Returns:
        As `kermany`; "val" is no `split` of an edition without that part.

    Raises:
        SourceError: as for `kermany`.
    """
    folder = pathlib.Path(folder)
    base = _kermany_base(folder)
    if not all((base / part).is_dir() for part in ("train", "test")):
        raise SourceError(
            "Kermany's folder has chest_xray/train and chest_xray/test. "
            f"Received: {folder}, which has not. Name the folder the archive was unpacked into."
        )
    rows = [
        _kermany_row(path, folder, part)
        for part in SPLITS
        for path in sorted((base / part).glob("*/*"))
        if is_image(path)
    ]
    if not rows:
        raise SourceError(
            f"Kermany's folders NORMAL and PNEUMONIA hold JPEG files. Received: {folder}, where there are "
            "none. Unpack the archive again."
        )
    return keep_patients_whole(pd.DataFrame(rows)).sort_values("file", ignore_index=True)


def kermany_name(stem):
    """What a file's name tells, where it is one of Kermany's.

    Other data sets hold his images under their names; a patient is called the same in all of them.

    Args:
        stem: str, a file's name without its suffix.

    Returns:
        (label, patient), such as ("virus", "virus-person7"), or None for any other name.
    """
    normal = _KERMANY_NORMAL.fullmatch(stem)
    named = normal or _KERMANY_PNEUMONIA.fullmatch(stem)
    if named is None:
        return None
    label = "normal" if normal else named["label"]
    return label, f"{label}-{named['patient']}"


def is_image(path):
    """Whether a file's name ends as an image's does; macOS' hidden twins `._name` do not count.

    Args:
        path: pathlib.Path.
    """
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def keep_patients_whole(frame):
    """Moves a patient who stands in several of a publisher's parts whole into the last of them.

    Args:
        frame: DataFrame with the columns `patient` and `split`, the latter among train, val and test.

    Returns:
        The same rows, in the same order, no patient in two splits. A `SourceWarning` counts what moved.
    """
    last = frame["split"].map(SPLITS.index).groupby(frame["patient"]).transform("max")
    split = pd.Series([SPLITS[part] for part in last], index=frame.index)
    moved = split != frame["split"]
    if moved.any():
        patients = sorted(frame.loc[moved, "patient"].unique())
        tell(
            f"{moved.sum()} images of {len(patients)} patients stood in an earlier part than others of "
            f"theirs and were moved to the later one: {shorten(patients)}."
        )
    return frame.assign(split=split)


def draw_splits(frame, shares, seed):
    """Draws a split for every row of a source that has none: `split_patients`, but with rare labels.

    A patient of several labels counts for the rarest of them. A label that is left with fewer patients than
    there are splits cannot stand in all of them; such labels share a stratum, and a `SourceWarning` names
    them. Fewer patients in all than splits are all of the first split, with a `SourceWarning`.

    Args:
        frame: DataFrame with the columns `patient` and `label`.
        shares: dict of split names to shares that sum to 1.
        seed: int, of the draw.

    Returns:
        A Series of split names, indexed like `frame`.

    Raises:
        SemenetError: `shares` are no shares.
    """
    if frame["patient"].nunique() < len(shares):
        first = next(iter(shares))
        tell(
            f"{frame['patient'].nunique()} patients are too few for the splits {', '.join(shares)}: all "
            f"are {first}."
        )
        return pd.Series(first, index=frame.index)
    patients = frame.groupby("label")["patient"].nunique()
    rarest_first = frame.assign(patients=frame["label"].map(patients)).sort_values(["patients", "label"])
    own = frame["patient"].map(rarest_first.drop_duplicates("patient").set_index("patient")["label"])
    in_stratum = frame.groupby(own)["patient"].nunique()
    rare = own.isin(in_stratum.index[in_stratum < len(shares)])
    strata = own.mask(rare, "")
    if rare.any():
        tell(
            "Of some labels there are fewer patients than splits, so not each split need have them: "
            f"{shorten(sorted(own[rare].unique()))}."
        )
        if frame.loc[rare, "patient"].nunique() < len(shares):
            strata = strata.mask(rare, in_stratum.idxmax())
    return split_patients(frame.assign(label=strata), shares=shares, seed=seed)


def keep_present(frame, folder, on_error, name):
    """Holds a publisher's list against the files that are there.

    Args:
        frame: DataFrame with the column `file`, relative to `folder`.
        folder: pathlib.Path.
        on_error: "raise" for an error that names the absent files, "skip" to leave their rows out and name
            them all in a `SourceWarning`.
        name: str, what the warning calls the data set.

    Returns:
        The rows whose file is there.

    Raises:
        SourceError: a file is absent and `on_error` is "raise", or all are.
        ValueError: `on_error` is neither of the two.
    """
    if on_error not in ("raise", "skip"):
        raise SemenetError(
            f'`on_error` must be "raise" or "skip". Received: {on_error!r}. Give one of the two.'
        )
    there = frame["file"].map(lambda file: (folder / file).is_file())
    absent = frame["file"][~there].tolist()
    if absent and (on_error == "raise" or not there.any()):
        raise SourceError(
            f"Every listed file must be there. Received: {folder}, which lacks {len(absent)} of "
            f"{len(frame)}: "
            f'{shorten(absent)}. Download them, or leave them out with on_error="skip" (--on-error skip).'
        )
    if absent:
        tell(f"{name}: {len(absent)} listed files are absent and were left out: {', '.join(absent)}.")
    return frame[there]


def relative(path, folder):
    """Returns str: a path as a manifest in `folder` names it, with forward slashes."""
    return pathlib.PurePath(os.path.relpath(path, folder)).as_posix()


def tell(message):
    """Issues a `SourceWarning`."""
    warnings.warn(message, SourceWarning, stacklevel=2)


def _kermany_base(folder):
    folder = pathlib.Path(folder)
    return folder / "chest_xray" if (folder / "chest_xray").is_dir() else folder


def _drawn_patients(frame, share, seed):
    """A share of each label's training patients, by a seeded draw."""
    rng = np.random.default_rng(seed)
    train = frame[frame["split"] == "train"]
    drawn = []
    for _, patients in train.groupby("label")["patient"]:
        names = np.sort(patients.unique())
        count = min(max(1, round(share * len(names))), len(names) - 1)
        drawn += rng.permutation(names)[:count].tolist()
    return drawn


def _kermany_row(path, folder, part):
    named = kermany_name(path.stem)
    if named is None or path.parent.name != ("NORMAL" if named[0] == "normal" else "PNEUMONIA"):
        raise SourceError(
            "A file's name must be personN_bacteria_M, personN_virus_M (in PNEUMONIA), IM-N-M or "
            f"NORMAL2-IM-N-M (in NORMAL). Received: {path}. Remove it, or give it the publisher's name."
        )
    label, patient = named
    return {
        "file": path.relative_to(folder).as_posix(),
        "label": label,
        "patient": patient,
        "split": part,
        "source": "kermany",
        "license": "CC BY 4.0",
    }
