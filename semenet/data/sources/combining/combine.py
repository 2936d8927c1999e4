"""Combines several manifests into one."""

import pathlib
from collections.abc import Mapping, Sequence

import pandas as pd

from semenet.data.manifest.csv_file import join_paths, shorten
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.names import check_split_names
from semenet.data.manifest.row_paths import with_slashes
from semenet.data.manifest.schema import DERIVED_COLUMNS
from semenet.data.manifest.table import Manifest, read_manifest, write_manifest
from semenet.data.sources.combining.conflicts import (
    check_columns,
    check_files,
    check_patient_splits,
    name_patients,
)
from semenet.data.sources.combining.label_mapping import (
    check_classes,
    check_keys,
    check_targets,
    known_labels,
    map_labels,
    scoped,
)
from semenet.data.sources.source_rows import relative_path
from semenet.storage.atomic import output_file

_PATHS = ("file", "mask", "shard")
_FIRST_COLUMNS = ("file", "label", "mask", "patient", "split", "source", "license")


def combine_manifests(
    manifests: Sequence[pathlib.Path | str] | Mapping[str, pathlib.Path | str],
    out: pathlib.Path | str,
    *,
    labels: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    add: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    patients: str | None = None,
    allow_patient_overlap: bool = False,
) -> Manifest:
    """Combines several manifests into one.

    The rows keep their order, their splits and all their columns; a cell of a column that a manifest does not
    have is empty. Paths become relative to the folder of `out`. In each mapping, a key KEY applies to all
    manifests and a key NAME:KEY to one, which takes precedence.

    Args:
        manifests: the CSV files by name, or a sequence of files, which are named by `manifest_name`. The name
            becomes the `source` of rows that have none.
        out: the CSV file to write.
        labels: maps labels to new ones; "" drops their rows. "bacteria|virus" means one of these classes.
        drop: labels whose rows are left out.
        rename: maps columns to new names.
        add: maps columns to a value for every row. Cells that have another value are an error, except in
            `source`, which is replaced.
        classes: the classes that labels must consist of after the mapping; empty for any.
        patients: "shared" if the same identifier in different sources is the same patient, "separate" if it
            is not: then it gets its source in front. None if there is no such identifier.
        allow_patient_overlap: whether a patient may be in two of train, val and test, so that new splits can
            be drawn from the result.

    Returns:
        The written manifest.

    Raises:
        ManifestError: a manifest cannot be used; a label, column or name is unknown; columns disagree; a file
            or an identical copy of it is in two manifests; a patient is in two of train, val and test.
        MissingImageError: an image does not exist.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").rows
        >>> for label in ("normal", "virus"):
        ...     semenet.data.write_manifest(rows[rows["label"] == label], f"{label}.csv")
        >>> combined = semenet.data.combine_manifests(
        ...     ["normal.csv", "virus.csv"], "both.csv", labels={"virus": "bacteria|virus"}
        ... )
        >>> sorted(combined.rows["label"].unique())
        ['bacteria|virus', 'normal']
    """
    paths = _named_paths(manifests)
    out = output_file(out)
    same = [name for name, path in paths.items() if out.exists() and path.exists() and out.samefile(path)]
    if same:
        raise ManifestError(
            "The combined manifest must be another file than the manifests, so that none is lost. "
            f"Received: {out}, which is also the manifest {same[0]}. Pass another --out."
        )
    frames = {name: _read(path) for name, path in paths.items()}
    frames = _change_columns(frames, rename or {}, add or {})
    for name, frame in frames.items():
        source = pd.Series(frame.get("source", ""), index=frame.index)
        frames[name] = frame.assign(source=source.replace("", name))
    check_columns({name: _own_columns(frame) for name, frame in frames.items()})
    if any("split" not in frame for frame in frames.values()):
        raise ManifestError(
            f"Manifests to combine need the column split. Received: {shorten(list(paths))} without it. Draw "
            "splits first with `semenet data split`."
        )
    for name, frame in frames.items():
        check_split_names(paths[name], frame["split"])
    frames = _change_labels(frames, dict(labels or {}), drop)
    rows = pd.concat(
        [frame.assign(manifest=name) for name, frame in frames.items()], ignore_index=True
    ).fillna("")
    if rows.empty:
        raise ManifestError(
            f"At least one row must be left. Received: {shorten(list(paths))}, where every row is dropped. "
            "Drop fewer labels."
        )
    if classes and "label" in rows:
        check_classes(rows["label"], classes)
    check_split_names(out, rows["split"])
    check_files(rows)
    rows["patient"] = name_patients(rows, patients)
    if not allow_patient_overlap:
        check_patient_splits(rows)
    write_manifest(_with_relative_paths(rows, out), out)
    return read_manifest(out, required=())


def manifest_name(path: pathlib.Path | str) -> str:
    """Returns a manifest's name: of the folder of a manifest.csv, otherwise of the file, without .csv."""
    path = pathlib.Path(path)
    return path.absolute().parent.name if path.name == "manifest.csv" else path.stem


def count_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts images.

    Args:
        rows: rows of a manifest with the columns split, source and optionally label.

    Returns:
        Integers: one row for each label and source, one column for each split, and the column `patients`.
    """
    rows = rows if "label" in rows else rows.assign(label="-")
    keys = [rows["label"].replace("", "-"), rows["source"]]
    counts = rows.groupby([*keys, "split"]).size().unstack(fill_value=0)
    first = [split for split in ("train", "val", "test") if split in counts]
    counts = counts[first + [split for split in counts if split not in first]]
    return counts.rename_axis(columns=None).assign(patients=rows.groupby(keys)["patient"].nunique())


def _named_paths(
    manifests: Sequence[pathlib.Path | str] | Mapping[str, pathlib.Path | str],
) -> dict[str, pathlib.Path]:
    if isinstance(manifests, Mapping):
        pairs = [(name, pathlib.Path(path)) for name, path in manifests.items()]
    else:
        pairs = [(manifest_name(path), pathlib.Path(path)) for path in manifests]
    if len(pairs) < 1:
        raise ManifestError("Combining needs at least one manifest. Received: none. Pass the CSVs.")
    seen = {}
    for name, path in pairs:
        if not name or name != name.strip() or ":" in name:
            raise ManifestError(
                "The name of a manifest must not be empty, contain ':', or begin or end with white space. "
                f"Received: {name!r} for {path}. Pass another name: NAME={path}."
            )
        if name in seen:
            raise ManifestError(
                f"Each manifest must have its own name. Received: {name!r} for {seen[name]} and {path}. "
                f"Pass another name: NAME={path}."
            )
        seen[name] = path
    return seen


def _read(path: pathlib.Path) -> pd.DataFrame:
    """Reads the rows of a manifest, with absolute paths."""
    rows = read_manifest(path, required=(), require_split=False).rows
    folder = path.absolute().parent
    found = [column for column in _PATHS if column in rows]
    return rows.assign(
        **{name: join_paths(folder, with_slashes(path, folder, rows[name].tolist())) for name in found}
    )


def _own_columns(frame: pd.DataFrame) -> list[str]:
    return [column for column in frame if column not in DERIVED_COLUMNS]


def _change_columns(
    frames: dict[str, pd.DataFrame], rename: Mapping[str, str], add: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """Renames and adds columns."""
    columns = {name: _own_columns(frame) for name, frame in frames.items()}
    check_keys("--rename", rename, columns, "columns")
    changed = {}
    for name, frame in frames.items():
        renamed = scoped(rename, frames, name)
        frame = frame.rename(columns=renamed)
        wrong = [new for new in renamed.values() if new in DERIVED_COLUMNS or list(frame).count(new) > 1]
        fixed = [old for old in renamed if old in (*_PATHS, "patient") and old in columns[name]]
        if wrong or fixed:
            raise ManifestError(
                "A column must get a new name, and patient and columns with paths keep theirs. Received: "
                f"--rename {(wrong or fixed)[0]!r} in {name}. Choose another column or name."
            )
        for column, value in scoped(add, frames, name).items():
            frame = _add_column(frame, name, column, value)
        changed[name] = frame
    return changed


def _add_column(frame: pd.DataFrame, name: str, column: str, value: str) -> pd.DataFrame:
    fixed = (*_PATHS, *DERIVED_COLUMNS, "patient")
    if column in fixed or ":" in column or not column.strip() or value != value.strip():
        raise ManifestError(
            f"--add adds a column other than {', '.join(fixed)}, without ':' in its name and with a value "
            f"without white space around it. Received: {column!r} with {value!r}. Choose another column, or "
            "for NAME:COLUMN the name of a manifest."
        )
    other = set(frame[column]) - {"", value} if column in frame and column != "source" else set()
    if other:
        raise ManifestError(
            f"--add fills a column that is missing or empty. Received: {column}={value} for {name}, which "
            f"has {shorten([repr(cell) for cell in sorted(other)])}. Choose another column, or rename "
            f"the old one (--rename {name}:{column}=NEW)."
        )
    return frame.assign(**{column: value})


def _change_labels(
    frames: dict[str, pd.DataFrame], mapping: dict[str, str], drop: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Maps labels and leaves rows out."""
    if not mapping and not drop:
        return frames
    if not all("label" in frame for frame in frames.values()):
        raise ManifestError(
            "Labels can be mapped and dropped only in manifests with the column label. Received: "
            f"{', '.join(frames)} without it. Add it (--add NAME:label=VALUE)."
        )
    known = {name: known_labels(frame["label"]) for name, frame in frames.items()}
    check_keys("--map", mapping, known, "labels")
    check_keys("--drop", drop, known, "labels")
    check_targets(mapping)
    both = [key for key in drop if mapping.get(key)]
    if both:
        raise ManifestError(
            f"A label is mapped or dropped. Received: {both[0]!r} in both --map and --drop. Remove one."
        )
    mapping = mapping | dict.fromkeys(drop, "")
    changed = {}
    for name, frame in frames.items():
        labels = map_labels(frame["label"], scoped(mapping, frames, name))
        kept = (labels != "") | (frame["label"] == "")
        changed[name] = frame.assign(label=labels)[kept]
    return changed


def _with_relative_paths(rows: pd.DataFrame, out: pathlib.Path) -> pd.DataFrame:
    folder = out.absolute().parent
    for column in (column for column in _PATHS if column in rows):
        rows = rows.assign(**{column: [relative_path(path, folder) if path else "" for path in rows[column]]})
    first = [column for column in _FIRST_COLUMNS if column in rows]
    others = [column for column in rows if column not in (*first, *DERIVED_COLUMNS, "manifest")]
    return rows[first + others]
