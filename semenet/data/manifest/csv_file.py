"""The CSV file of a manifest as text: its cells, the line numbers of its rows, and the paths in it."""

import csv
import os
import pathlib
import re
from collections.abc import Iterable, Sequence

import pandas as pd

from semenet.data.manifest.csv_format import find_format
from semenet.data.manifest.errors import ManifestError, MissingManifestError
from semenet.storage.csv_cells import unescape_cell, unescape_table

MAX_SHOWN = 5
_MAX_COLUMNS = 10_000

# A name that is absolute or empty, ends in a slash, or has a `.`, a `..` or nothing between two slashes.
_NEEDS_NORMALIZING = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")


def read_cells(path: pathlib.Path, required: Sequence[str]) -> tuple[list[str], pd.DataFrame]:
    """Reads the cells of a manifest's CSV file as text.

    Args:
        path: the CSV file, with one header line: UTF-8, or what `find_format` recognises.
        required: the columns to name in the error for an empty file.

    Returns:
        The column names in the header, and a DataFrame of text with one row for each row of the file, as it
        was before `semenet.storage.csv_text`; a missing cell is "".

    Raises:
        MissingManifestError: the file does not exist.
        ManifestError: the path is a folder, or the file is empty or not such a CSV file.
    """
    if path.is_dir():
        raise ManifestError(
            f"A manifest must be a CSV file. Received: the folder {path}. Pass the CSV file in it."
        )
    try:
        form = find_format(path)
        with form.open(path) as stream:
            reader = csv.reader(stream, delimiter=form.separator)
            header = next((cells for cells in reader if _is_row(cells)), [])
        # pandas would take minutes for a million columns.
        if len(header) > _MAX_COLUMNS:
            raise ManifestError(
                f"A manifest must have at most {_MAX_COLUMNS:,} columns. Received: {path} with "
                f"{len(header):,}. Leave out those that are not needed."
            )
        rows = form.read(path)
    except FileNotFoundError as error:
        raise MissingManifestError(
            f"A manifest must exist. Received: {path}, which does not exist. Check the path."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ManifestError(
            f"A manifest needs a header line. Received: {path}, which is empty. "
            f"Its first line must name the columns {', '.join(required)}."
        ) from error
    except UnicodeError as error:
        raise ManifestError(
            f"A manifest must be text in UTF-8. Received: {path}, which is in another encoding, such as "
            f"Windows-1252 (Latin-1): {error}. Save it as CSV (UTF-8)."
        ) from error
    except (csv.Error, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        named = {",": "commas", ";": "semicolons", "\t": "tabs"}.get(form.separator, repr(form.separator))
        raise ManifestError(
            "A manifest must be a comma-separated UTF-8 text file with as many cells in each row as in "
            f"the header. Received: {path}, whose cells are separated by {named}: {str(error).strip()}. "
            "Save it as CSV (UTF-8), with quotes around cells that contain the separator."
        ) from error
    # pandas fills rows that are shorter than the header with missing values; they count as empty cells.
    return [unescape_cell(name) for name in header], unescape_table(rows.fillna(""))


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
    form = find_format(path)
    with form.open(path) as stream:
        reader = csv.reader(stream, delimiter=form.separator)
        last_line = 0
        for cells in reader:
            if _is_row(cells):
                first_lines.append(form.skipped_lines + last_line + 1)
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
