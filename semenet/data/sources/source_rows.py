"""Operations shared by the readers of data sets: rows of a manifest, their splits and their files.

A reader turns a downloaded folder into a DataFrame of text with one row per image: `file` (relative to the
folder, with forward slashes), `label`, `patient`, `split`, `source`, `license`, and further columns that the
publisher provides. No patient is in two splits. A `SourceWarning` reports rows that were left out or moved.
"""

import os
import pathlib
import warnings
from collections.abc import Mapping

import pandas as pd

from semenet.data.images.listing import IMAGE_SUFFIXES
from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.names import normalized
from semenet.data.manifest.splitting import split_patients
from semenet.errors import MissingFileError, SemenetError

SPLITS = ("train", "val", "test")
NOT_STATED = "not stated"


class SourceError(SemenetError):
    """A downloaded folder does not have the publisher's layout."""


class SourceNotFoundError(SourceError, MissingFileError):
    """A folder or file of a data set does not exist."""


class SourceWarning(UserWarning):
    """Rows of a data set were left out or moved, or information is missing."""


def is_image_file(path: pathlib.Path) -> bool:
    """Returns whether a file has an image's suffix and is not hidden, such as macOS' `._name`."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def keep_patients_whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Moves all images of a patient into the last split that contains any of them.

    Args:
        frame: rows with the columns `patient` and `split`; splits are train, val and test.

    Returns:
        The same rows, in the same order, without patients in two splits. A `SourceWarning` counts the moved
        images.
    """
    last = frame["split"].map(SPLITS.index).groupby(normalized(frame["patient"])).transform("max")
    split = pd.Series([SPLITS[index] for index in last], index=frame.index)
    moved = split != frame["split"]
    if moved.any():
        patients = sorted(frame.loc[moved, "patient"].unique())
        warn_source(
            f"{moved.sum()} images of {len(patients)} patients were moved to a later split, which holds "
            f"other images of the same patients: {shorten(patients)}."
        )
    return frame.assign(split=split)


def draw_splits(frame: pd.DataFrame, shares: Mapping[str, float], seed: int) -> pd.Series:
    """Draws a split for every row of a data set without splits.

    Like `split_patients`, but it accepts rare labels. A patient with several labels counts for the rarest of
    them. Labels with fewer patients than there are splits share a stratum, so that not every split has such a
    label; a `SourceWarning` lists them. If there are fewer patients in total than splits, all are in the
    first split, with a `SourceWarning`.

    Args:
        frame: rows with the columns `patient` and `label`.
        shares: split names and their shares of the images; the shares sum to 1.
        seed: seed of the draw.

    Returns:
        Split names, indexed like `frame`.

    Raises:
        SemenetError: the shares are invalid.
    """
    frame = frame.assign(patient=normalized(frame["patient"]))
    if frame["patient"].nunique() < len(shares):
        first = next(iter(shares))
        warn_source(
            f"{frame['patient'].nunique()} patients are too few for the splits {', '.join(shares)}: all "
            f"are in {first}."
        )
        return pd.Series(first, index=frame.index)
    patients = frame.groupby("label")["patient"].nunique()
    rarest_first = frame.assign(patients=frame["label"].map(patients)).sort_values(["patients", "label"])
    rarest_label = frame["patient"].map(rarest_first.drop_duplicates("patient").set_index("patient")["label"])
    stratum_sizes = frame.groupby(rarest_label)["patient"].nunique()
    rare = rarest_label.isin(stratum_sizes.index[stratum_sizes < len(shares)])
    strata = rarest_label.mask(rare, "")
    if rare.any():
        warn_source(
            "Some labels have fewer patients than there are splits, so that they may be missing from a "
            f"split: {shorten(sorted(rarest_label[rare].unique()))}."
        )
        if frame.loc[rare, "patient"].nunique() < len(shares):
            strata = strata.mask(rare, stratum_sizes.idxmax())
    return split_patients(frame.assign(label=strata), shares=dict(shares), seed=seed)


def keep_existing_files(
    frame: pd.DataFrame, folder: pathlib.Path, on_error: str, source: str, option: str = "--on-error"
) -> pd.DataFrame:
    """Checks that the files of a publisher's list exist.

    Args:
        frame: rows with the column `file`, relative to `folder`.
        folder: the downloaded folder.
        on_error: "raise" to raise an error that lists missing files, "skip" to drop their rows and list them
            all in a `SourceWarning`.
        source: name of the data set for the warning.
        option: the option of the command line that sets `on_error`, for the error.

    Returns:
        The rows whose file exists.

    Raises:
        SourceNotFoundError: a file is missing and `on_error` is "raise", or all files are missing.
        SemenetError: `on_error` is neither of the two.
    """
    if on_error not in ("raise", "skip"):
        raise SemenetError(
            f'`on_error` must be "raise" or "skip". Received: {on_error!r}. Pass one of the two.'
        )
    exists = frame["file"].map(lambda file: (folder / file).is_file())
    missing = frame["file"][~exists].tolist()
    if missing and (on_error == "raise" or not exists.any()):
        raise SourceNotFoundError(
            f"Every listed file must exist. Received: {folder}, where {len(missing)} of {len(frame)} are "
            f"missing: {shorten(missing)}. Download them, or leave them out with "
            f"{option[2:].replace('-', '_')}='skip' ({option} skip)."
        )
    if missing:
        warn_source(
            f"{source}: {len(missing)} listed files are missing and were left out: {', '.join(missing)}."
        )
    return frame[exists]


def check_val_share(val_share: float) -> None:
    """Checks a share of the training patients that becomes val.

    Raises:
        SemenetError: it is not between 0 and 1.
    """
    if not 0 < val_share < 1:
        raise SemenetError(
            f"`val_share` must be between 0 and 1. Received: {val_share}. The usual value is 0.1."
        )


def relative_path(path: pathlib.Path | str, folder: pathlib.Path | str) -> str:
    """Returns a path relative to a folder, with forward slashes, as a manifest in that folder writes it."""
    return pathlib.PurePath(os.path.relpath(path, folder)).as_posix()


def warn_source(message: str) -> None:
    """Issues a `SourceWarning`."""
    warnings.warn(message, SourceWarning, stacklevel=2)
