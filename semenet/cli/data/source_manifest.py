"""Writes the manifest of a downloaded data set, and prints its counts and warnings."""

import os
import pathlib
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def write_source_manifest(
    make_rows: Callable[[], "pd.DataFrame"],
    out: pathlib.Path,
    folder: pathlib.Path | None = None,
    paper: str | None = None,
) -> None:
    """Writes a manifest and prints its counts.

    Args:
        make_rows: function that returns the rows.
        out: CSV to write; paths are made relative to its folder.
        folder: folder that the paths of the rows start from; None if they are absolute.
        paper: name of the paper's data set to compare the counts with, or None.
    """
    from semenet.data.manifest.table import write_manifest
    from semenet.data.sources.source_rows import SourceWarning, relative_path
    from semenet.storage.atomic import output_file

    out = output_file(out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SourceWarning)
        frame = make_rows()
    for warning in caught:
        if issubclass(warning.category, SourceWarning):
            print(f"semenet: {warning.message}", file=sys.stderr)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    top = pathlib.Path.cwd() if folder is None else folder.absolute()
    for column in ("file", "mask"):
        if column in frame:
            frame[column] = [
                relative_path(os.path.join(top, path), out.absolute().parent) for path in frame[column]
            ]
    write_manifest(frame, out)
    print(_count_table(frame, paper), file=sys.stderr)
    for missing in _missing_classes(frame):
        print(f"semenet: {missing}: too few patients for every split.", file=sys.stderr)
    print(out)


def _missing_classes(frame: "pd.DataFrame") -> list[str]:
    """Describes the classes that are missing from a split."""
    if "label" not in frame:
        return []
    counts = frame.groupby(["label", "split"]).size().unstack(fill_value=0)
    return [
        f"no image of {label} in {', '.join(row.index[row == 0])}"
        for label, row in counts.iterrows()
        if (row == 0).any()
    ]


def _count_table(frame: "pd.DataFrame", paper: str | None) -> str:
    """Returns a table of the counts per split and label, or of these and the paper's counts."""
    if paper is not None:
        from semenet.data.sources.paper import compare_counts

        return compare_counts(frame, paper).to_string()
    keys = ["split", "label"]
    counts = frame.groupby(keys).agg(images=("file", "size"), patients=("patient", "nunique"))
    return counts.to_string()
