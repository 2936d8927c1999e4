"""A CSV of radiographs with checked columns, and the DataFrame it becomes.

A manifest is the only currency of data: one row an image, with the columns `file`, `patient` and
`split`, `label` for classification, `mask` for segmentation, and any others its author likes.
Paths in it are relative to the CSV's own folder, so that the folder can be moved as a whole.
"""

import csv
import dataclasses
import hashlib
import json
import os
import pathlib
import warnings

import numpy as np
import pandas as pd
import pandera.pandas as pa

from semenet.data.files import replacing
from semenet.errors import SemenetError

_REQUIRED = ("file", "patient", "split")
_OPTIONAL = ("label", "mask")
_DERIVED = ("path", "mask_path")
_HASHED = ("file", "label", "patient", "split", "mask")
_CANONICAL_ORDERS = (("normal", "bacteria", "virus"), ("other_viral", "COVID-19"))
_NAMED_AT_MOST = 5


class ManifestError(SemenetError):
    """A manifest that cannot be used: the rule, what was received, the remedy."""


@dataclasses.dataclass(frozen=True, eq=False)
class Manifest:
    """A manifest as read from its CSV.

    Attributes:
        path: the CSV file.
        rows: one row an image, in the CSV's order: the CSV's columns, all text, and `path`, the
            image's absolute path, and, where there is a `mask` column, `mask_path`, the mask's
            absolute path or "".
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


def read_manifest(path, root=None, *, need=("label",)):
    """Reads a manifest and checks its columns; looks at no image.

    Args:
        path: the CSV: comma-separated, UTF-8 (a byte-order mark is allowed), one header line.
        root: the folder that relative paths in the columns `file` and `mask` start from; None for
            the CSV's own folder.
        need: which of the columns "label" and "mask" must be there and filled in every row, beside
            `file`, `patient` and `split`, which always must.

    Returns:
        A `Manifest`.

    Raises:
        ManifestError: the file is absent, no CSV, or empty; a needed column is absent or has empty
            cells; two rows name the same file; a column has the name of one that is added here.
    """
    path = pathlib.Path(path)
    unknown = set(need) - set(_OPTIONAL)
    if unknown:
        raise SemenetError(
            f"`need` must name columns among {', '.join(_OPTIONAL)}. Received: {sorted(need)}."
        )
    header, rows = _read_csv(path)
    needed = (*_REQUIRED, *need)
    _check_header(path, header, needed)
    if rows.empty:
        raise ManifestError(
            f"A manifest needs at least one row below its header. Received: {path}, which has a "
            "header alone. Add one row an image."
        )
    _check_cells(path, rows, needed)
    sha256 = _content_hash(rows)
    folder = pathlib.Path(path.parent if root is None else root).absolute()
    rows["path"] = _absolute(rows["file"], folder)
    _check_paths(path, rows)
    if "mask" in rows:
        rows["mask_path"] = _absolute(rows["mask"], folder)
    return Manifest(path=path, rows=rows, sha256=sha256)


def write_manifest(frame, path):
    """Writes a manifest so that a reader sees either the old file or the whole new one.

    Args:
        frame: a DataFrame with at least the columns file, patient and split. Paths in `file` and
            `mask` must already be relative to the folder of `path`, or absolute. The columns
            `path` and `mask_path`, which `read_manifest` adds, are left out.
        path: the CSV to write; its folder must exist.

    Raises:
        ManifestError: a required column is absent, or the folder is.
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
    kept = frame.drop(columns=[column for column in _DERIVED if column in frame.columns])
    with replacing(path) as temporary:
        kept.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def check_patients(manifest, splits=("train", "val", "test")):
    """Checks that no patient stands in two splits, where it would be learnt and then asked about.

    Args:
        manifest: a `Manifest`.
        splits: the splits that must not share a patient; rows of others are not looked at.

    Raises:
        ManifestError: a patient has rows in two of them; the message names patients and splits.
    """
    rows = manifest.rows[manifest.rows["split"].isin(splits)]
    pairs = rows[["patient", "split"]].drop_duplicates()
    straddling = pairs[pairs.duplicated("patient", keep=False)]
    if straddling.empty:
        return
    found = straddling.groupby("patient", sort=True)["split"].agg(sorted)
    named = [f"{patient} ({' and '.join(where)})" for patient, where in found.items()]
    raise ManifestError(
        f"A patient's images must all stand in one split, in {manifest.path}. "
        f"Received: {len(found)} patients in more than one: {_listed(named)}. "
        "Move each patient's rows into one split."
    )


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
            f"{_listed([repr(label) for label in others])}). "
            "Leave these rows out, or train a network with these classes (--classes)."
        )
    return index.astype(np.int64)


def _read_csv(path):
    if path.is_dir():
        raise ManifestError(f"A manifest is a CSV file. Received: the folder {path}. Name the CSV in it.")
    try:
        with warnings.catch_warnings():
            # A row longer than the header would otherwise lose its last cells with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header = next(cells for cells in csv.reader(stream) if _is_row(cells))
    except FileNotFoundError as error:
        raise ManifestError(
            f"A manifest must exist. Received: {path}, which does not. Check the path."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ManifestError(
            f"A manifest needs a header line. Received: {path}, which is empty. "
            f"Its first line must name the columns {', '.join(_REQUIRED)}."
        ) from error
    except (
        UnicodeDecodeError,
        csv.Error,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
    ) as error:
        raise ManifestError(
            f"A manifest must be a comma-separated UTF-8 text with as many cells in each row as in "
            f"the header. Received: {path}: {error}. Save it as CSV (UTF-8), with quotes around "
            "cells that hold a comma."
        ) from error
    # Rows shorter than the header come with missing values: the same as an empty cell.
    return header, rows.fillna("")


def _is_row(cells):
    """Whether pandas takes these cells for a row: it passes over blank lines."""
    return len(cells) > 1 or any(cell.strip() for cell in cells)


def _check_header(path, header, needed):
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise ManifestError(
            f"Each column of a manifest must have its own name. Received: {path}, where "
            f"{_listed(repeated)} stands more than once. Rename or remove one."
        )
    absent = [column for column in needed if column not in header]
    if absent:
        raise ManifestError(
            f"This manifest needs the columns {', '.join(needed)}. Received: {path} with "
            f"{', '.join(header)}. Add {', '.join(absent)} (comma-separated, with a header line)."
        )
    clashing = [column for column in header if column in _DERIVED]
    if clashing:
        raise ManifestError(
            f"The names {', '.join(_DERIVED)} are taken for the absolute paths. Received: {path} "
            f"with a column {', '.join(clashing)}. Rename it."
        )


def _check_cells(path, rows, needed):
    filled = pa.Check(lambda cells: cells.str.strip() != "", name="filled")
    # A patient "p1 " beside a patient "p1" would pass for another one.
    bare = pa.Check(lambda cells: cells.str.strip() == cells, name="bare")
    schema = pa.DataFrameSchema(
        {column: pa.Column(str, [filled, bare], unique=column == "file") for column in needed}
    )
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
    else:
        return
    empty = cases[cases["check"] == "filled"]
    if not empty.empty:
        column = empty["column"].iloc[0]
        indices = empty.loc[empty["column"] == column, "index"]
        raise ManifestError(
            f"Every row of a manifest needs a value in the columns {', '.join(needed)}. "
            f"Received: {path} with {len(indices)} empty cells in {column!r}, "
            f"{_lines(path, indices)}. Fill them in, or remove the rows."
        )
    padded = cases[cases["check"] == "bare"]
    if not padded.empty:
        raise ManifestError(
            "The values of a manifest must not begin or end with white space. "
            f"Received: {path} with {padded['failure_case'].iloc[0]!r} in {padded['column'].iloc[0]!r}, "
            f"{_lines(path, padded['index'])}. Remove the white space."
        )
    repeated = cases[cases["check"] == "field_uniqueness"]
    name = repeated["failure_case"].iloc[0]
    raise ManifestError(
        f"Every row of a manifest must name another file. Received: {path} with "
        f"{repeated['failure_case'].nunique()} files named more than once, first {name}, "
        f"{_lines(path, repeated.loc[repeated['failure_case'] == name, 'index'])}. "
        "Keep one row an image."
    )


def _check_paths(path, rows):
    """Refuses one file under two spellings, such as `a.png` and `./a.png`."""
    twice = rows["path"].duplicated(keep=False)
    if twice.any():
        same = rows[rows["path"] == rows.loc[twice, "path"].iloc[0]]
        raise ManifestError(
            f"Every row of a manifest must name another file. Received: {path} with "
            f"{' and '.join(map(repr, same['file']))}, {_lines(path, same.index)}, which are one file. "
            "Keep one row an image."
        )


def _lines(path, indices):
    """Says on which lines of the file the rows begin: quoted cells may run over several."""
    wanted = sorted({int(index) for index in indices})[:_NAMED_AT_MOST]
    begins = []
    with open(path, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        ended = 0
        for cells in reader:
            if _is_row(cells):
                begins.append(ended + 1)
            ended = reader.line_num
            if len(begins) > wanted[-1] + 1:
                break
    numbers = [str(begins[index + 1]) for index in wanted]
    more = len(set(indices)) - len(wanted)
    return f"line {', '.join(numbers)}" + (f" and {more} more" if more else "")


def _content_hash(rows):
    digest = hashlib.sha256()
    for column in _HASHED:
        if column in rows:
            # JSON keeps cells apart whatever they hold, and is the same on every machine.
            digest.update(json.dumps({column: rows[column].tolist()}).encode("ascii"))
    return digest.hexdigest()


def _absolute(names, folder):
    return [os.path.normpath(os.path.join(folder, name)) if name else "" for name in names]


def _listed(names):
    shown = ", ".join(names[:_NAMED_AT_MOST])
    more = len(names) - _NAMED_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown
