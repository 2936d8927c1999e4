"""The table of radiographs that all data goes through: reading, writing and checking its CSV file.

A manifest has one row per image, with the columns `file`, `patient` and `split`, `label` for classification,
`mask` for segmentation, and any others. A label may be partial, see `semenet.data.manifest.class_labels`.
Paths in it are relative to the CSV file's folder, so that the folder can be moved as a whole.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import read_cells, shorten
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.names import (
    check_split_names,
    normalize_names,
    normalized,
    spelling_remedy,
    warn_of_similar_patients,
)
from semenet.data.manifest.row_paths import row_paths
from semenet.data.manifest.schema import DERIVED_COLUMNS, check_cells, check_header, check_paths
from semenet.data.manifest.several_labels import PREFIX, check_label_columns, label_columns
from semenet.errors import SemenetError
from semenet.storage.atomic import replacing
from semenet.storage.csv_cells import csv_text

_REQUIRED = ("file", "patient", "split")
_OPTIONAL = ("label", "mask")
_HASHED = ("file", "label", "patient", "split", "mask")


@dataclasses.dataclass(frozen=True, eq=False)
class Manifest:
    """A manifest read from its CSV file.

    Attributes:
        path: the CSV file.
        rows: one row per image, in the order of the CSV file: its columns, all text; `path`, the image's
            absolute path; and, if there is a `mask` column, `mask_path`, the mask's absolute path or "". For
            images in shards, these are locators (`semenet.data.images.shards`).
        sha256: hash of the columns file, label, patient, split, mask and label:NAME as text, in the order of
            the CSV file (hexadecimal). It does not change when the folder is moved, and changes when a row
            changes split.

    Example:
        >>> manifest = semenet.read_manifest("manifest.csv")
        >>> type(manifest).__name__, len(manifest.rows), len(manifest.sha256)
        ('Manifest', 45, 64)
    """

    path: pathlib.Path
    rows: pd.DataFrame
    sha256: str

    def split(self, name: str) -> pd.DataFrame:
        """Returns the rows of one split, in the manifest's order, indexed from 0.

        Args:
            name: a value of the `split` column, such as "train" or "val".

        Returns:
            A new DataFrame with the columns of `rows`.

        Raises:
            ManifestError: no row has that split.
        """
        rows = self.rows[self.rows["split"] == name].reset_index(drop=True)
        if rows.empty:
            counts = self.rows["split"].value_counts(sort=False).sort_index()
            raise ManifestError(
                f"A split must have at least one row in {self.path}. Received: {name!r}. "
                f"There are: {', '.join(f'{split} ({n} rows)' for split, n in counts.items())}; "
                "use one of these, or add rows."
            )
        return rows


def read_manifest(
    path: pathlib.Path | str,
    root: pathlib.Path | str | None = None,
    *,
    required: Sequence[str] = ("label",),
    require_split: bool = True,
) -> Manifest:
    """Reads a manifest and checks its columns. Opens no image.

    Args:
        path: the CSV file, with one header line: comma-separated UTF-8. UTF-16, semicolons, tabs and Excel's
            line `sep=;` are recognised. Backslashes in paths are those of Windows, unless such a file exists.
        root: the folder that relative paths in the columns `file` and `mask` start from; None for
            the folder of the CSV file.
        required: which of the columns "label" and "mask" must be present and filled in every row, beside
            `file`, `patient` and `split`.
        require_split: whether `split` must be present; it may be missing before a split is drawn.

    Returns:
        The manifest. All names except paths are in Unicode's normal form NFC.

    Raises:
        MissingManifestError: the file does not exist.
        ManifestError: the file is not a CSV file, or is empty; a required column is missing or has empty
            cells; a column label:NAME holds something else than 0, 1 or nothing; two rows name the same
            file; two splits, or a split and train, val or test, differ only in case; a path has a drive
            letter; a column is named `path` or `mask_path`.

    Warns:
        ManifestWarning: the names of two patients look alike: they differ only in case, for example.

    Example:
        >>> manifest = semenet.read_manifest("manifest.csv")
        >>> len(manifest.rows)
        45
        >>> sorted(manifest.rows["label"].unique())
        ['bacteria', 'normal', 'virus']
        >>> train = manifest.split("train")
        >>> set(train["split"])
        {'train'}
    """
    path = pathlib.Path(path)
    unknown = set(required) - set(_OPTIONAL)
    if unknown:
        raise SemenetError(
            f"`required` must name columns among {', '.join(_OPTIONAL)}. Received: {sorted(required)}. "
            "The other required columns are always checked."
        )
    needed = (*(column for column in _REQUIRED if require_split or column != "split"), *required)
    header, rows = read_cells(path, needed)
    check_header(path, header, needed)
    if rows.empty:
        raise ManifestError(
            f"A manifest needs at least one row below its header. Received: {path}, which has only a "
            "header. Add one row per image."
        )
    check_cells(path, rows, needed)
    check_label_columns(path, rows)
    sha256 = _content_hash(rows)
    # After the hash, which is that of the cells as they stand.
    normalize_names(rows)
    if require_split:
        check_split_names(path, rows["split"])
    warn_of_similar_patients(path, rows)
    folder = pathlib.Path(path.parent if root is None else root).absolute()
    rows["path"] = row_paths(path, rows, folder, "file", "image")
    check_paths(path, rows)
    if "mask" in rows:
        rows["mask_path"] = row_paths(path, rows, folder, "mask", "mask")
    return Manifest(path=path, rows=rows, sha256=sha256)


def write_manifest(rows: pd.DataFrame, path: pathlib.Path | str) -> None:
    """Writes a manifest atomically: a reader sees either the old file or the complete new one.

    Args:
        rows: a DataFrame with at least the columns file, patient and split. Paths in `file` and
            `mask` must already be relative to the folder of `path`, or absolute. The columns
            `path` and `mask_path`, which `read_manifest` adds, are not written.
        path: the CSV file to write; its folder must exist.

    Raises:
        ManifestError: a required column or the folder is missing; a name is not UTF-8, or begins or ends with
            white space.

    Example:
        >>> manifest = semenet.read_manifest("manifest.csv")
        >>> normal = manifest.rows[manifest.rows["label"] == "normal"]
        >>> semenet.data.write_manifest(normal, "normal.csv")
        >>> semenet.read_manifest("normal.csv").rows["label"].unique().tolist()
        ['normal']
    """
    path = pathlib.Path(path)
    missing = [column for column in _REQUIRED if column not in rows.columns]
    if missing:
        raise ManifestError(
            f"A manifest needs the columns {', '.join(_REQUIRED)}. Received: {list(rows.columns)} "
            f"to be written to {path}. Add {', '.join(missing)}."
        )
    if not path.parent.is_dir():
        raise ManifestError(
            f"A manifest is written into an existing folder. Received: {path}. "
            f"Create the folder {path.parent} first."
        )
    written = rows.drop(columns=[column for column in DERIVED_COLUMNS if column in rows.columns])
    for column in (name for name in _HASHED if name in written):
        # `read_manifest` would reject these values, for example labels that are names of folders.
        # One by one, because pandas' string type with pyarrow accepts only UTF-8.
        padded = [cell for cell in map(str, written[column]) if cell != cell.strip()]
        if padded:
            raise ManifestError(
                "The values of a manifest must not begin or end with white space. "
                f"Received: {shorten([repr(cell) for cell in padded])} in {column!r}, to be written to "
                f"{path}. Rename them."
            )
    with replacing(path) as temporary:
        try:
            temporary.write_bytes(csv_text(written, lineterminator="\n").encode())
        except UnicodeEncodeError as error:
            around = error.object[max(error.start - 100, 0) : error.end + 100]
            raise ManifestError(
                f"The names in a manifest must be UTF-8. Received: {around!r}, to be written to {path}. "
                "Rename the file."
            ) from error


def check_patients(
    manifest: Manifest, splits: Sequence[str] = ("train", "val", "test"), *, allow_overlap: bool = False
) -> pd.Series:
    """Checks that no patient is in two splits, where a network would be tested on patients it was trained on.

    Args:
        manifest: the manifest.
        splits: the splits that must not share a patient; rows of other splits are ignored.
        allow_overlap: whether to return such patients, so that a report can state them, instead of raising.

    Returns:
        `patients_in_several_splits(manifest.rows, splits)`: empty unless `allow_overlap`.

    Raises:
        ManifestError: a patient has rows in two of the splits; the message names patients and splits.

    Example:
        >>> len(semenet.data.check_patients(semenet.read_manifest("manifest.csv")))
        0
    """
    found = patients_in_several_splits(manifest.rows, splits)
    if found.empty or allow_overlap:
        return found
    named = [f"{patient} ({' and '.join(of_patient)})" for patient, of_patient in found.items()]
    raise ManifestError(
        f"All images of a patient must be in one split in {manifest.path}. "
        f"Received: {len(found)} patients in more than one: {shorten(named)}. "
        "Move each patient's rows into one split."
    )


def patients_in_several_splits(rows: pd.DataFrame, splits: Sequence[str] | None = None) -> pd.Series:
    """Finds the patients who are in more than one split.

    Args:
        rows: rows of a manifest, with the columns patient and split.
        splits: the splits to compare; rows of other splits are ignored. None compares all.

    Returns:
        A Series indexed by patient, sorted, whose values are sorted lists of their splits.
    """
    rows = rows if splits is None else rows[rows["split"].isin(splits)]
    pairs = rows[["patient", "split"]].apply(normalized).drop_duplicates()
    repeated = pairs[pairs.duplicated("patient", keep=False)]
    if repeated.empty:
        return pd.Series([], index=pd.Index([], name="patient", dtype=object), name="split", dtype=object)
    return repeated.groupby("patient", sort=True)["split"].agg(sorted)


def label_index(rows: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Returns each row's class as its index in `class_names`.

    Args:
        rows: rows of a manifest, with the columns file and label.
        class_names: the labels, in the order of a network's outputs.

    Returns:
        An int64 array of shape (rows,), values in [0, len(class_names)).

    Raises:
        ManifestError: a label is not among `class_names`, for example a partial label.
    """
    index = pd.Index(list(class_names), dtype=object).get_indexer(rows["label"].astype(object))
    if (index < 0).any():
        first = rows.iloc[int(np.flatnonzero(index < 0)[0])]
        unknown = sorted(set(rows["label"][index < 0]))
        raise ManifestError(
            f"Every label must be one of the classes {', '.join(class_names)}. "
            f"Received: {first['label']!r} for {first['file']} (all unknown labels: "
            f"{shorten([repr(label) for label in unknown])}). {spelling_remedy(unknown, class_names)}"
            "Remove these rows, or train a network with these classes (--classes)."
        )
    return index.astype(np.int64)


def _content_hash(rows: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for column in (*_HASHED, *(PREFIX + name for name in label_columns(rows))):
        if column in rows:
            # JSON separates cells whatever they contain, and is the same on every machine.
            digest.update(json.dumps({column: rows[column].tolist()}).encode("ascii"))
    return digest.hexdigest()
