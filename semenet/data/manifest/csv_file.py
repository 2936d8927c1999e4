"""The CSV of a manifest as text: its cells, the lines its rows stand on, and the paths it names."""

import csv
import os
import re
import warnings

import pandas as pd

from semenet.errors import SemenetError

MAX_SHOWN = 5

# A name that is absolute or empty, ends in a slash, or has a `.`, a `..` or nothing between two slashes.
_NOT_PLAIN = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")


class ManifestError(SemenetError):
    """A manifest that cannot be used: the rule, what was received, the remedy."""


def read_cells(path, required):
    """Reads the cells of a manifest's CSV as text.

    Args:
        path: pathlib.Path of the CSV: comma-separated, UTF-8 (a byte-order mark is allowed), one header line.
        required: the columns that the error for an empty file names.

    Returns:
        The header, a list of str as it stands in the file, and a DataFrame of text with a row for each row
        of the file; a cell that lacks is "".

    Raises:
        ManifestError: the file is absent, a folder, empty, or no such CSV.
    """
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
            f"Its first line must name the columns {', '.join(required)}."
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


def describe_lines(path, indices):
    """Says on which lines of the file rows begin: quoted cells may run over several.

    Args:
        path: the CSV.
        indices: positions of rows, from 0, in any order.

    Returns:
        Text such as "line 3, 7 and 2 more".
    """
    wanted = sorted({int(index) for index in indices})[:MAX_SHOWN]
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


def join_paths(folder, names):
    """Joins names to a folder and normalises them, without a look at the disk.

    Args:
        folder: the folder that relative names start from.
        names: iterable of str, absolute or relative; "" stays "".

    Returns:
        A list of str: `os.path.normpath(os.path.join(folder, name))` of each name.
    """
    start = os.path.join(os.path.normpath(folder), "")
    if os.sep != "/" or start == "./":
        return [os.path.normpath(os.path.join(folder, name)) if name else "" for name in names]
    # Joining and normalising a million names one by one takes 4 s; nearly all have nothing to normalise.
    return [
        start + name
        if _NOT_PLAIN.search(name) is None
        else os.path.normpath(os.path.join(folder, name))
        if name
        else ""
        for name in names
    ]


def shorten(names):
    """Names in a row, the first few of them: "a, b and 3 more"."""
    shown = ", ".join(names[:MAX_SHOWN])
    more = len(names) - MAX_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _is_row(cells):
    """Whether pandas takes these cells for a row: it passes over blank lines."""
    return len(cells) > 1 or any(cell.strip() for cell in cells)
