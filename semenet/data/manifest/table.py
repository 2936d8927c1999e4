"""A CSV of radiographs with checked columns, and the DataFrame it becomes.

A manifest is the only currency of data: one row an image, with the columns `file`, `patient` and
`split`, `label` for classification, `mask` for segmentation, and any others its author likes.
Paths in it are relative to the CSV's own folder, so that the folder can be moved as a whole.
"""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import pandas as pd

from semenet.data.images.shards import PLACE, is_locator, locator
from semenet.data.manifest.csv_file import ManifestError, describe_lines, join_paths, read_cells, shorten
from semenet.data.manifest.schema import DERIVED_COLUMNS, check_cells, check_header, check_paths
from semenet.errors import SemenetError
from semenet.storage.atomic import replacing

_REQUIRED = ("file", "patient", "split")
_OPTIONAL = ("label", "mask")
_HASHED = ("file", "label", "patient", "split", "mask")


@dataclasses.dataclass(frozen=True, eq=False)
class Manifest:
    """A manifest as read from its CSV.

    Attributes:
        path: the CSV file.
        rows: one row an image, in the CSV's order: the CSV's columns, all text, and `path`, the
            image's absolute path, and, where there is a `mask` column, `mask_path`, the mask's
            absolute path or ""; for images in shards, their locators (`semenet.data.images.shards`).
        sha256: hash over the columns file, label, patient, split and mask as text, in the CSV's
            order (hexadecimal). A folder that was moved keeps it; a row that changed split does not.
    """

    path: pathlib.Path
    rows: pd.DataFrame
    sha256: str

    def split(self, name):
        """Returns the rows of one split, in the manifest's order, indexed from 0.

        Args:
            name: a value of the `split` column, such as "train" or "val".

        Returns:
            A new DataFrame with the columns of `rows`.

        Raises:
            ManifestError: no row has that split.
        """
        chosen = self.rows[self.rows["split"] == name].reset_index(drop=True)
        if chosen.empty:
            counts = self.rows["split"].value_counts(sort=False).sort_index()
            raise ManifestError(
                f"A split must have at least one row in {self.path}. Received: {name!r}. "
                f"There are: {', '.join(f'{split} ({n} rows)' for split, n in counts.items())}; "
                "name one of these, or add rows."
            )
        return chosen


def read_manifest(path, root=None, *, required=("label",), require_split=True):
    """Reads a manifest and checks its columns; looks at no image.

    Args:
        path: the CSV: comma-separated, UTF-8 (a byte-order mark is allowed), one header line.
        root: the folder that relative paths in the columns `file` and `mask` start from; None for
            the CSV's own folder.
        required: which of the columns "label" and "mask" must be there and filled in every row, beside
            `file`, `patient` and `split`.
        require_split: whether `split` must be there; it need not before a split is drawn.

    Returns:
        A `Manifest`.

    Raises:
        ManifestError: the file is absent, no CSV, or empty; a needed column is absent or has empty
            cells; two rows name the same file; a column has the name of one that is added here.
    """
    path = pathlib.Path(path)
    unknown = set(required) - set(_OPTIONAL)
    if unknown:
        raise SemenetError(
            f"`required` must name columns among {', '.join(_OPTIONAL)}. Received: {sorted(required)}."
        )
    needed = (*(column for column in _REQUIRED if require_split or column != "split"), *required)
    header, rows = read_cells(path, needed)
    check_header(path, header, needed)
    if rows.empty:
        raise ManifestError(
            f"A manifest needs at least one row below its header. Received: {path}, which has a "
            "header alone. Add one row an image."
        )
    check_cells(path, rows, needed)
    sha256 = _content_hash(rows)
    folder = pathlib.Path(path.parent if root is None else root).absolute()
    rows["path"] = _paths(path, rows, folder, "file", "image")
    check_paths(path, rows)
    if "mask" in rows:
        rows["mask_path"] = _paths(path, rows, folder, "mask", "mask")
    return Manifest(path=path, rows=rows, sha256=sha256)


def write_manifest(frame, path):
    """Writes a manifest so that a reader sees either the old file or the whole new one.

    Args:
        frame: a DataFrame with at least the columns file, patient and split. Paths in `file` and
            `mask` must already be relative to the folder of `path`, or absolute. The columns
            `path` and `mask_path`, which `read_manifest` adds, are left out.
        path: the CSV to write; its folder must exist.

    Raises:
        ManifestError: a required column is absent, or the folder is; a name is not UTF-8, or has white
            space at an end.
    """
    path = pathlib.Path(path)
    absent = [column for column in _REQUIRED if column not in frame.columns]
    if absent:
        raise ManifestError(
            f"A manifest needs the columns {', '.join(_REQUIRED)}. Received: {list(frame.columns)} "
            f"to be written to {path}. Add {', '.join(absent)}."
        )
    if not path.parent.is_dir():
        raise ManifestError(
            f"A manifest is written into a folder that exists. Received: {path}. "
            f"Make the folder {path.parent} first."
        )
    kept = frame.drop(columns=[column for column in DERIVED_COLUMNS if column in frame.columns])
    for column in (name for name in _HASHED if name in kept):
        # What `read_manifest` would refuse: a folder's name becomes a label, with blanks and all.
        # One by one: pandas' own text, where pyarrow is installed, holds nothing that is not UTF-8.
        padded = [cell for cell in map(str, kept[column]) if cell != cell.strip()]
        if padded:
            raise ManifestError(
                "The values of a manifest must not begin or end with white space. "
                f"Received: {shorten([repr(cell) for cell in padded])} in {column!r}, to be written to "
                f"{path}. Rename what they stand for."
            )
    with replacing(path) as temporary:
        try:
            kept.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
        except UnicodeEncodeError as error:
            raise ManifestError(
                f"The names in a manifest must be UTF-8. Received: {error.object[:200]!r}, to be written to "
                f"{path}. Rename the file."
            ) from error


def check_patients(manifest, splits=("train", "val", "test"), *, allow_overlap=False):
    """Checks that no patient stands in two splits, where it would be learnt and then asked about.

    Args:
        manifest: a `Manifest`.
        splits: the splits that must not share a patient; rows of others are not looked at.
        allow_overlap: whether to return such patients, for what is written about the run, instead of
            refusing them.

    Returns:
        `patients_in_several_splits(manifest.rows, splits)`: empty unless `allow_overlap`.

    Raises:
        ManifestError: a patient has rows in two of them; the message names patients and splits.
    """
    found = patients_in_several_splits(manifest.rows, splits)
    if found.empty or allow_overlap:
        return found
    named = [f"{patient} ({' and '.join(where)})" for patient, where in found.items()]
    raise ManifestError(
        f"A patient's images must all stand in one split, in {manifest.path}. "
        f"Received: {len(found)} patients in more than one: {shorten(named)}. "
        "Move each patient's rows into one split."
    )


def patients_in_several_splits(rows, splits=None):
    """Finds the patients who stand in more than one split.

    Args:
        rows: rows of a manifest, with the columns patient and split.
        splits: the splits to compare; rows of others are not looked at. None compares all.

    Returns:
        A Series, sorted by patient: its index the patients, its values sorted lists of their splits.
    """
    rows = rows if splits is None else rows[rows["split"].isin(splits)]
    pairs = rows[["patient", "split"]].drop_duplicates()
    straddling = pairs[pairs.duplicated("patient", keep=False)]
    if straddling.empty:
        return pd.Series([], index=pd.Index([], name="patient", dtype=object), name="split", dtype=object)
    return straddling.groupby("patient", sort=True)["split"].agg(sorted)


def label_index(rows, class_names):
    """Returns each row's class as its index in `class_names`.

    Args:
        rows: rows of a manifest, with the columns file and label.
        class_names: the labels, in the order of a network's outputs.

    Returns:
        An int64 array of shape (rows,), values in [0, len(class_names)).

    Raises:
        ManifestError: a label is not among `class_names`.
    """
    index = pd.Index(list(class_names), dtype=object).get_indexer(rows["label"].astype(object))
    if (index < 0).any():
        first = rows.iloc[int(np.flatnonzero(index < 0)[0])]
        others = sorted(set(rows["label"][index < 0]))
        raise ManifestError(
            f"Every label must be one of the classes {', '.join(class_names)}. "
            f"Received: {first['label']!r} for {first['file']} (unknown labels in all: "
            f"{shorten([repr(label) for label in others])}). "
            "Leave these rows out, or train a network with these classes (--classes)."
        )
    return index.astype(np.int64)


def _paths(path, rows, folder, column, kind):
    """The absolute path of each file of a column, or its locator where the rows say in which shard it is."""
    columns = [f"{kind}_{name}" for name in PLACE]
    if not {"shard", *columns} <= set(rows.columns):
        return join_paths(folder, rows[column].tolist())
    shards = join_paths(folder, rows["shard"].tolist())
    found = [
        locator(shard, *place) if shard and name else ""
        for name, shard, place in zip(rows[column], shards, rows[columns].values.tolist(), strict=True)
    ]
    wrong = [index for index, text in enumerate(found) if not is_locator(text) and rows[column].iloc[index]]
    if wrong:
        raise ManifestError(
            f"Rows of shards need shard, {', '.join(columns)}, as `semenet data shard` writes them. "
            f"Received: {path} without, {describe_lines(path, wrong)}. Write the shards again."
        )
    return found


def _content_hash(rows):
    digest = hashlib.sha256()
    for column in _HASHED:
        if column in rows:
            # JSON keeps cells apart whatever they hold, and is the same on every machine.
            digest.update(json.dumps({column: rows[column].tolist()}).encode("ascii"))
    return digest.hexdigest()
