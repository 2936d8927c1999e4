"""Kermany's pediatric chest X-rays (chest_xray)."""

import pathlib
import re

import numpy as np
import pandas as pd

from semenet.data.sources.source_rows import (
    SPLITS,
    SourceError,
    SourceNotFoundError,
    check_val_share,
    is_image_file,
    keep_patients_whole,
)

_PNEUMONIA = re.compile(r"(?P<patient>person\d+)_(?P<label>bacteria|virus)_\d+(_\d+)?")
_NORMAL = re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?")


def read_kermany(folder: pathlib.Path | str, *, val_share: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Turns Kermany's pediatric chest X-rays into the rows of a manifest.

    Labels and patients are in the file names: `personN_bacteria_M.jpeg`, `personN_virus_M.jpeg`, and
    `IM-N-M.jpeg` or `NORMAL2-IM-N-M.jpeg` for normal images. The publisher's parts become the splits, with
    one change: a patient in several parts is moved to the last of train, val and test, so that no test
    patient is trained on. Patients are numbered within a label: whether `person10` of bacteria and of virus
    is the same child is unknown. If the edition has no val (Mendeley Data's has none), a share of each
    label's training patients becomes val.

    Reference: Kermany et al., Cell 172 (2018); https://data.mendeley.com/datasets/rscbjbr9sj/2, CC BY 4.0.

    Args:
        folder: the unpacked folder `chest_xray` or its parent, with
            {train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg; val is optional.
        val_share: share of each label's training patients that becomes val if the edition has none, in
            (0, 1); at least one patient per label.
        seed: seed of the draw of these patients.

    Returns:
        A DataFrame of text, sorted by `file`: `file` (relative to `folder`, with forward slashes), `label`
        ("normal", "bacteria" or "virus"), `patient`, `split`, `source` and `license`.

    Raises:
        SourceError: the folder has another layout, or a file's name has no label or contradicts its folder.
        SemenetError: `val_share` is not between 0 and 1.
    """
    check_val_share(val_share)
    frame = read_kermany_parts(folder)
    if not (_chest_xray_folder(folder) / "val").is_dir():
        frame.loc[frame["patient"].isin(_draw_val_patients(frame, val_share, seed)), "split"] = "val"
    return frame


def read_kermany_parts(folder: pathlib.Path | str) -> pd.DataFrame:
    """Reads Kermany's folder like `read_kermany`, but draws no val if the edition has none.

    Args:
        folder: as for `read_kermany`.

    Returns:
        As `read_kermany`; there is no split "val" if the edition has no such part.

    Raises:
        SourceError: as for `read_kermany`.
    """
    folder = pathlib.Path(folder)
    top = _chest_xray_folder(folder)
    if not all((top / part).is_dir() for part in ("train", "test")):
        raise SourceNotFoundError(
            "Kermany's folder must have chest_xray/train and chest_xray/test. "
            f"Received: {folder}, which has not both. Pass the folder the archive was unpacked into."
        )
    rows = [
        _row(path, folder, part)
        for part in SPLITS
        for path in sorted((top / part).glob("*/*"))
        if is_image_file(path)
    ]
    if not rows:
        raise SourceError(
            f"Kermany's folders NORMAL and PNEUMONIA must hold JPEG files. Received: {folder}, where there "
            "are none. Unpack the archive again."
        )
    return keep_patients_whole(pd.DataFrame(rows)).sort_values("file", ignore_index=True)


def parse_kermany_name(stem: str) -> tuple[str, str] | None:
    """Reads label and patient from a file name of Kermany's set.

    Other data sets contain these images under the same names; a patient has the same name in all of them.

    Args:
        stem: a file name without its suffix.

    Returns:
        (label, patient), such as ("virus", "virus-person7"), or None for other names.
    """
    normal = _NORMAL.fullmatch(stem)
    match = normal or _PNEUMONIA.fullmatch(stem)
    if match is None:
        return None
    label = "normal" if normal else match["label"]
    return label, f"{label}-{match['patient']}"


def _chest_xray_folder(folder: pathlib.Path | str) -> pathlib.Path:
    folder = pathlib.Path(folder)
    return folder / "chest_xray" if (folder / "chest_xray").is_dir() else folder


def _draw_val_patients(frame: pd.DataFrame, share: float, seed: int) -> list[str]:
    """Draws a share of each label's training patients."""
    rng = np.random.default_rng(seed)
    train = frame[frame["split"] == "train"]
    drawn = []
    for _, patients in train.groupby("label")["patient"]:
        names = np.sort(patients.unique())
        count = min(max(1, round(share * len(names))), len(names) - 1)
        drawn += rng.permutation(names)[:count].tolist()
    return drawn


def _row(path: pathlib.Path, folder: pathlib.Path, part: str) -> dict[str, str]:
    parsed = parse_kermany_name(path.stem)
    if parsed is None or path.parent.name != ("NORMAL" if parsed[0] == "normal" else "PNEUMONIA"):
        raise SourceError(
            "A file's name must be personN_bacteria_M, personN_virus_M (in PNEUMONIA), IM-N-M or "
            f"NORMAL2-IM-N-M (in NORMAL). Received: {path}. Remove it, or restore the publisher's name."
        )
    label, patient = parsed
    return {
        "file": path.relative_to(folder).as_posix(),
        "label": label,
        "patient": patient,
        "split": part,
        "source": "kermany",
        "license": "CC BY 4.0",
    }
