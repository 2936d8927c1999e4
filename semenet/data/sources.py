"""Public data sets, as they unpack, to the rows of a manifest."""

import pathlib
import re

import numpy as np
import pandas as pd

from semenet.data.images import IMAGE_SUFFIXES
from semenet.errors import SemenetError

_KERMANY_PARTS = ("train", "val", "test")
_KERMANY_PNEUMONIA = re.compile(r"(?P<patient>person\d+)_(?P<label>bacteria|virus)_\d+(_\d+)?")
_KERMANY_NORMAL = re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?")


class SourceError(SemenetError):
    """A downloaded folder that is not as its publisher lays it out."""


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
    folder = pathlib.Path(folder)
    base = folder / "chest_xray" if (folder / "chest_xray").is_dir() else folder
    if not all((base / part).is_dir() for part in ("train", "test")):
        raise SourceError(
            "Kermany's folder has chest_xray/train and chest_xray/test. "
            f"Received: {folder}, which has not. Name the folder the archive was unpacked into."
        )
    rows = [
        _kermany_row(path, folder, part)
        for part in _KERMANY_PARTS
        for path in sorted((base / part).glob("*/*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not rows:
        raise SourceError(
            f"Kermany's folders NORMAL and PNEUMONIA hold JPEG files. Received: {folder}, where there are "
            "none. Unpack the archive again."
        )
    frame = pd.DataFrame(rows)
    last_part = frame["split"].map(_KERMANY_PARTS.index).groupby(frame["patient"]).transform("max")
    frame["split"] = [_KERMANY_PARTS[part] for part in last_part]
    if not (base / "val").is_dir():
        frame.loc[frame["patient"].isin(_drawn_patients(frame, val_share, seed)), "split"] = "val"
    return frame.sort_values("file", ignore_index=True)


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
    normal = _KERMANY_NORMAL.fullmatch(path.stem)
    named = normal or _KERMANY_PNEUMONIA.fullmatch(path.stem)
    if named is None or path.parent.name != ("NORMAL" if normal else "PNEUMONIA"):
        raise SourceError(
            "A file's name must be personN_bacteria_M, personN_virus_M (in PNEUMONIA), IM-N-M or "
            f"NORMAL2-IM-N-M (in NORMAL). Received: {path}. Remove it, or give it the publisher's name."
        )
    label = "normal" if normal else named["label"]
    return {
        "file": path.relative_to(folder).as_posix(),
        "label": label,
        "patient": f"{label}-{named['patient']}",
        "split": part,
        "source": "kermany",
        "license": "CC BY 4.0",
    }
