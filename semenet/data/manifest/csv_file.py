"""The CSV file of a manifest as text: its cells, the line numbers of its rows, and the paths in it."""

import csv
import os
import pathlib
import re
import warnings
from collections.abc import Iterable, Sequence

import pandas as pd

from semenet.errors import MissingFileError, SemenetError

MAX_SHOWN = 5

# A name that is absolute or empty, ends in a slash, or has a `.`, a `..` or nothing between two slashes.
_NEEDS_NORMALIZING = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")


class ManifestError(SemenetError):
    """A manifest that cannot be used: the rule, what was received, the remedy."""


class MissingManifestError(ManifestError, MissingFileError):
    """A manifest that does not exist."""


def read_cells(path: pathlib.Path, required: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Reads the cells of a manifest's CSV file as text.

    Args:
        path: the CSV file: comma-separated, UTF-8 (a byte-order mark is allowed), one header line.
        required: the columns to name in the error for an empty file.

    Returns:
        The column names in the header, and a DataFrame of text with one row for each row of the file; a
        missing cell is "".

    Raises:
        MissingManifestError: the file does not exist.
        ManifestError: the path is a folder, or the file is empty or not such a CSV file.
    """
    if path.is_dir():
        raise ManifestError(
            f"A manifest must be a CSV file. Received: the folder {path}. Pass the CSV file in it."
        )
    try:
        with warnings.catch_warnings():
            # pandas would cut off a row longer than the header with a mere warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header = next(cells for cells in csv.reader(stream) if _is_row(cells))
    except FileNotFoundError as error:
        raise MissingManifestError(
            f"A manifest must exist. Received: {path}, which does not exist. Check the path."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ManifestError(
            f"A manifest needs a header line. Received: {path}, which is empty. "
            f"Its first line must name the columns {', '.join(required)}."
        ) from error
    except (
        UnicodeDecodeError,
        csv.Error,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
    ) as error:
        raise ManifestError(
            "A manifest must be a comma-separated UTF-8 text file with as many cells in each row as in "
            f"the header. Received: {path}: {error}. Save it as CSV (UTF-8), with quotes around "
            "cells that contain a comma."
        ) from error
    # pandas fills rows that are shorter than the header with missing values; they count as empty cells.
    return header, rows.fillna("")


def describe_lines(path: pathlib.Path, indices: Iterable[int]) -> str:
    """Describes the lines of the file on which rows begin; quoted cells may span several lines.

    Args:
        path: the CSV file.
        indices: positions of rows, from 0, in any order.

    Returns:
        Text such as "line 3, 7 and 2 more".
    """
    positions = {int(index) for index in indices}
    shown = sorted(positions)[:MAX_SHOWN]
    first_lines = []
    with open(path, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        last_line = 0
        for cells in reader:
            if _is_row(cells):
                first_lines.append(last_line + 1)
            last_line = reader.line_num
            if len(first_lines) > shown[-1] + 1:
                break
    # The header is the first row of the file.
    numbers = [str(first_lines[index + 1]) for index in shown]
    more = len(positions) - len(shown)
    return f"line {', '.join(numbers)}" + (f" and {more} more" if more else "")


def join_paths(folder: pathlib.Path | str, names: Iterable[str]) -> list[str]:
    """Joins names to a folder and normalizes them, without accessing the disk.

    Args:
        folder: the folder that relative names start from.
        names: absolute or relative names; "" stays "".

    Returns:
        `os.path.normpath(os.path.join(folder, name))` of each name.
    """
    start = os.path.join(os.path.normpath(folder), "")
    if os.sep != "/" or start == "./":
        return [os.path.normpath(os.path.join(folder, name)) if name else "" for name in names]
    # Joining and normalizing a million names takes 4 s, and nearly all of them need no normalizing.
    return [
        start + name
        if _NEEDS_NORMALIZING.search(name) is None
        else os.path.normpath(os.path.join(folder, name))
        if name
        else ""
        for name in names
    ]


def shorten(names: Sequence[str]) -> str:
    """Joins names for a message, at most `MAX_SHOWN` of them: "a, b and 3 more"."""
    shown = ", ".join(names[:MAX_SHOWN])
    more = len(names) - MAX_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _is_row(cells: list[str]) -> bool:
    """Whether pandas reads these cells as a row: it skips blank lines."""
    return len(cells) > 1 or any(cell.strip() for cell in cells)
