"""What the header and the cells of a manifest must be like, and the errors that say where they are not."""

import pandera.pandas as pa

from semenet.data.manifest.csv_file import ManifestError, describe_lines, shorten

DERIVED_COLUMNS = ("path", "mask_path")


def check_header(path, header, needed):
    """Checks that a header has the needed columns, each name once and none that is taken.

    Args:
        path: the CSV, for the message.
        header: list of str.
        needed: the columns that must be there.

    Raises:
        ManifestError: it has not.
    """
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise ManifestError(
            f"Each column of a manifest must have its own name. Received: {path}, where "
            f"{shorten(repeated)} stands more than once. Rename or remove one."
        )
    absent = [column for column in needed if column not in header]
    if absent:
        raise ManifestError(
            f"This manifest needs the columns {', '.join(needed)}. Received: {path} with "
            f"{', '.join(header)}. Add {', '.join(absent)} (comma-separated, with a header line)."
        )
    clashing = [column for column in header if column in DERIVED_COLUMNS]
    if clashing:
        raise ManifestError(
            f"The names {', '.join(DERIVED_COLUMNS)} are taken for the absolute paths. Received: {path} "
            f"with a column {', '.join(clashing)}. Rename it."
        )


def check_cells(path, rows, needed):
    """Checks that the needed columns are filled, without white space around, and `file` without repeats.

    Args:
        path: the CSV, for the message.
        rows: DataFrame of text.
        needed: the columns to check.

    Raises:
        ManifestError: a cell is not so; the message names its line.
    """
    filled = pa.Check(_holds(lambda cell: cell.strip() != ""), name="filled")
    # A patient "p1 " beside a patient "p1" would pass for another one.
    bare = pa.Check(_holds(lambda cell: cell.strip() == cell), name="bare")
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
            f"{describe_lines(path, indices)}. Fill them in, or remove the rows."
        )
    padded = cases[cases["check"] == "bare"]
    if not padded.empty:
        raise ManifestError(
            "The values of a manifest must not begin or end with white space. "
            f"Received: {path} with {padded['failure_case'].iloc[0]!r} in {padded['column'].iloc[0]!r}, "
            f"{describe_lines(path, padded['index'])}. Remove the white space."
        )
    repeated = cases[cases["check"] == "field_uniqueness"]
    name = repeated["failure_case"].iloc[0]
    raise ManifestError(
        f"Every row of a manifest must name another file. Received: {path} with "
        f"{repeated['failure_case'].nunique()} files named more than once, first {name}, "
        f"{describe_lines(path, repeated.loc[repeated['failure_case'] == name, 'index'])}. "
        "Keep one row an image."
    )


def check_paths(path, rows):
    """Refuses one file under two spellings, such as `a.png` and `./a.png`.

    Args:
        path: the CSV, for the message.
        rows: DataFrame with the columns file and path.

    Raises:
        ManifestError: two rows have one path.
    """
    twice = rows["path"].duplicated(keep=False)
    if twice.any():
        same = rows[rows["path"] == rows.loc[twice, "path"].iloc[0]]
        raise ManifestError(
            f"Every row of a manifest must name another file. Received: {path} with "
            f"{' and '.join(map(repr, same['file']))}, {describe_lines(path, same.index)}, which are one "
            "file. Keep one row an image."
        )


def _holds(rule):
    """A check of a column that asks `rule` of each different cell once: labels and patients repeat."""

    def check(cells):
        broken = [cell for cell in cells.unique().tolist() if not rule(cell)]
        return ~cells.isin(broken)

    return check
