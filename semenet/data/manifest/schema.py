"""The rules for a manifest's header and cells, and error messages that locate a violation."""

import pathlib
from collections.abc import Callable, Sequence

import pandas as pd
import pandera.pandas as pa

from semenet.data.manifest.csv_file import describe_lines, shorten
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.names import normal_form

DERIVED_COLUMNS = ("path", "mask_path")


def check_header(path: pathlib.Path, header: list[str], needed: Sequence[str]) -> None:
    """Checks that a header has the needed columns, each once, and no reserved name.

    Args:
        path: the CSV file, for the message.
        header: the column names.
        needed: the columns that must be present.

    Raises:
        ManifestError: a column is missing, repeated or has a reserved name.
    """
    names = [normal_form(column) for column in header]
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise ManifestError(
            f"Each column of a manifest must have its own name. Received: {path}, where "
            f"{shorten(repeated)} occurs more than once. Rename or remove one."
        )
    missing = [column for column in needed if column not in header]
    if missing:
        raise ManifestError(
            f"This manifest needs the columns {', '.join(needed)}. Received: {path} with "
            f"{', '.join(header)}. {_remedy(header, missing)}"
        )
    reserved = [column for column in header if column in DERIVED_COLUMNS]
    if reserved:
        raise ManifestError(
            f"The names {', '.join(DERIVED_COLUMNS)} are reserved for the absolute paths. Received: {path} "
            f"with a column {', '.join(reserved)}. Rename it."
        )


def _remedy(header: list[str], missing: list[str]) -> str:
    """Returns what to do about missing columns: they may be there in another spelling or in one cell."""
    similar = {column.strip().casefold(): column for column in header}
    renamed = [f"{similar[column]!r} to {column!r}" for column in missing if column in similar]
    if renamed:
        return f"Rename {', '.join(renamed)}: column names are lower case, without white space around them."
    separator = next((mark for mark in "|:, " if mark in header[0]), None) if len(header) == 1 else None
    if separator:
        return f"Separate the cells by commas: the header is one cell, with {separator!r} in it."
    return f"Add {', '.join(missing)} (comma-separated, with a header line)."


def check_cells(path: pathlib.Path, rows: pd.DataFrame, needed: Sequence[str]) -> None:
    """Checks that needed columns are filled in, without surrounding white space, and `file` has no repeats.

    Args:
        path: the CSV file, for the message.
        rows: DataFrame of text.
        needed: the columns to check.

    Raises:
        ManifestError: a cell breaks a rule; the message gives its line.
    """
    filled = pa.Check(_holds(lambda cell: cell.strip() != ""), name="filled")
    # A patient "p1 " beside a patient "p1" would count as another one.
    stripped = pa.Check(_holds(lambda cell: cell.strip() == cell), name="stripped")
    schema = pa.DataFrameSchema(
        {column: pa.Column(str, [filled, stripped], unique=column == "file") for column in needed}
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
            f"{describe_lines(path, indices)}. Fill them in, or remove the rows."
        )
    padded = cases[cases["check"] == "stripped"]
    if not padded.empty:
        raise ManifestError(
            "The values of a manifest must not begin or end with white space. "
            f"Received: {path} with {padded['failure_case'].iloc[0]!r} in {padded['column'].iloc[0]!r}, "
            f"{describe_lines(path, padded['index'])}. Remove the white space."
        )
    repeated = cases[cases["check"] == "field_uniqueness"]
    name = repeated["failure_case"].iloc[0]
    raise ManifestError(
        f"Every row of a manifest must name a different file. Received: {path} with "
        f"{repeated['failure_case'].nunique()} files named more than once, first {name}, "
        f"{describe_lines(path, repeated.loc[repeated['failure_case'] == name, 'index'])}. "
        "Keep one row per image."
    )


def check_paths(path: pathlib.Path, rows: pd.DataFrame) -> None:
    """Rejects one file with two spellings, such as `a.png` and `./a.png`.

    Args:
        path: the CSV file, for the message.
        rows: DataFrame with the columns file and path.

    Raises:
        ManifestError: two rows have the same path.
    """
    duplicated = rows["path"].duplicated(keep=False)
    if duplicated.any():
        same = rows[rows["path"] == rows.loc[duplicated, "path"].iloc[0]]
        raise ManifestError(
            f"Every row of a manifest must name a different file. Received: {path} with "
            f"{' and '.join(map(repr, same['file']))}, {describe_lines(path, same.index)}, which are one "
            "file. Keep one row per image."
        )


def _holds(rule: Callable[[str], bool]) -> Callable[[pd.Series], pd.Series]:
    """Returns a column check that applies `rule` once to each distinct cell: labels and patients repeat."""

    def check(cells: pd.Series) -> pd.Series:
        wrong = [cell for cell in cells.unique().tolist() if not rule(cell)]
        return ~cells.isin(wrong)

    return check
