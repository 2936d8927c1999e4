"""What must not happen when manifests are combined: the same image twice, or a patient in two splits.

All functions take the rows of all manifests, with the further column `manifest`, the name of each row's
manifest.
"""

import itertools
import os
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from semenet.data.images.errors import missing_image
from semenet.data.images.shards import PLACE, is_locator
from semenet.data.manifest.csv_file import ManifestError, shorten
from semenet.data.manifest.table import patients_in_several_splits
from semenet.data.sources.source_rows import SPLITS
from semenet.storage.hashing import file_sha256

_ALL_OR_NONE = ("label", "split", "shard", *(f"image_{name}" for name in PLACE))


def check_columns(columns: Mapping[str, Sequence[str]]) -> None:
    """Checks that the columns of the manifests agree.

    Args:
        columns: each manifest's name and its columns.

    Raises:
        ManifestError: only some manifests have the column label, split or shard; two columns have names that
            differ only in case, spaces, hyphens or underscores.
    """
    for column in _ALL_OR_NONE:
        without = [name for name, own in columns.items() if column not in own]
        if without and len(without) < len(columns):
            remedy = (
                "Combine the manifests from before `semenet data shard`, and write new shards."
                if column not in ("label", "split")
                else f"Add it with --add {without[0]}:{column}=VALUE, or leave these manifests out."
            )
            raise ManifestError(
                f"Either all manifests or none must have the column {column}. Received: "
                f"{shorten(without)} without it. {remedy}"
            )
    spellings: dict[str, dict[str, str]] = {}
    for name, own in columns.items():
        for column in own:
            spellings.setdefault(re.sub(r"[\s_-]", "", column.lower()), {}).setdefault(column, name)
    pairs = [
        (first, second)
        for names in spellings.values()
        for first, second in itertools.pairwise(itertools.islice(names.items(), 2))
    ]
    if pairs:
        (first, first_name), (second, second_name) = pairs[0]
        renamed = " ".join(f'"{other}={column}"' for (column, _), (other, _) in pairs)
        raise ManifestError(
            "The same column must have the same name in all manifests. Received: "
            f"{first!r} in {first_name} and {second!r} in {second_name}. "
            f"Rename {'it' if len(pairs) == 1 else 'all of these'}: --rename {renamed}."
        )


def check_files(rows: pd.DataFrame) -> None:
    """Checks that no file is in two manifests, also not as a copy with the same bytes.

    Only files of the same size are read. Copies within one manifest, and copies with other bytes, are found
    by `semenet data check`.

    Raises:
        ManifestError: a file or a copy is in two manifests.
        MissingImageError: a file does not exist.
    """
    # Images in shards have no file of their own.
    files = rows[~rows["path"].map(is_locator).astype(bool)]
    files = files.assign(real=[os.path.realpath(path) for path in files["path"]])
    _refuse_repeats(files, "real", "The same file must not be in two manifests")
    sizes = []
    for path in files["path"]:
        try:
            sizes.append(os.stat(path).st_size)
        except FileNotFoundError as error:
            raise missing_image(path) from error
    files = files.assign(size=sizes)
    in_several = files.groupby("size")["manifest"].transform("nunique") > 1
    files = files[in_several]
    files = files.assign(sha256=[file_sha256(path) for path in files["path"]])
    _refuse_repeats(files, "sha256", "The same image must not be in two manifests")


def _refuse_repeats(rows: pd.DataFrame, column: str, rule: str) -> None:
    repeated = rows[rows.groupby(column)["manifest"].transform("nunique") > 1]
    if repeated.empty:
        return
    first = repeated[repeated[column] == repeated[column].iloc[0]].drop_duplicates("manifest")
    (one, other), names = first["path"].iloc[:2], first["manifest"].iloc[:2].tolist()
    label = f":{first['label'].iloc[1]}" if "label" in first else ""
    raise ManifestError(
        f"{rule}. Received: {repeated[column].nunique()} in several, first {one} in {names[0]}"
        f" and {'the same file' if one == other else other} in {names[1]}. Drop the rows of one manifest"
        f"{f' by their label, such as --drop {names[1]}{label}' if label else ''}."
    )


def name_patients(rows: pd.DataFrame, patients: str | None) -> pd.Series:
    """Returns the patients, with the source in front where an identifier may mean two people.

    The same identifier in manifests with the same source is the same patient. In manifests of different
    sources it may be another one.

    Args:
        rows: rows of all manifests, with the columns manifest, source and patient.
        patients: "shared" if the same identifier is the same patient in all sources, "separate" if it is not,
            None if no identifier is in manifests of different sources.

    Returns:
        The patients: as they are, or "SOURCE:PATIENT" for identifiers of several sources with "separate".

    Raises:
        ManifestError: an identifier is in several sources and `patients` is None, or `patients` is invalid.
    """
    if patients not in (None, "shared", "separate"):
        raise ManifestError(
            f'`patients` must be "shared", "separate" or None. Received: {patients!r}. Pass one of these.'
        )
    if patients == "shared":
        return rows["patient"]
    sources = rows.groupby(["patient", "manifest"])["source"].agg(frozenset)
    # A manifest may itself say that a patient is in several sources.
    in_common = sources.groupby("patient").agg(lambda sets: frozenset.intersection(*sets))
    ambiguous = rows["patient"].isin(in_common.index[in_common.map(len) == 0])
    if not ambiguous.any():
        return rows["patient"]
    if patients is None:
        names = sorted(rows.loc[ambiguous, "patient"].unique())
        first = rows[rows["patient"] == names[0]]["source"].unique()
        raise ManifestError(
            "It must be known whether the same identifier means the same patient in different sources. "
            f"Received: {len(names)} identifiers in several sources: {shorten(names)}; the first in "
            f"{' and '.join(first[:2])}. Pass --patients shared if they are the same people, "
            "--patients separate if they are not."
        )
    prefixes = sources.map(min)
    keys = pd.MultiIndex.from_frame(rows[["patient", "manifest"]])
    prefixed = pd.Series(prefixes.loc[keys].to_numpy(), index=rows.index) + ":" + rows["patient"]
    return rows["patient"].where(~ambiguous, prefixed)


def check_patient_splits(rows: pd.DataFrame) -> None:
    """Checks that no patient is in two of train, val and test over all manifests.

    Raises:
        ManifestError: a patient is in two of them.
    """
    found = patients_in_several_splits(rows, SPLITS)
    if found.empty:
        return

    def places(patient: str, splits: Sequence[str]) -> str:
        own = rows[rows["patient"] == patient]
        return " and ".join(
            f"{split} of {own.loc[own['split'] == split, 'manifest'].iloc[0]}" for split in splits
        )

    named = [f"{patient} ({places(patient, splits)})" for patient, splits in found.iloc[:5].items()]
    more = f" and {len(found) - len(named)} more" if len(found) > len(named) else ""
    raise ManifestError(
        "All images of a patient must be in one of train, val and test, over all manifests. "
        f"Received: {len(found)} patients in two: {', '.join(named)}{more}. If the same identifier means "
        "different people, give their manifests different sources (--add NAME:source=VALUE) and pass "
        "--patients separate. Otherwise write the manifest with --allow-patient-overlap, and draw new splits "
        "of whole patients with `semenet data split`."
    )
