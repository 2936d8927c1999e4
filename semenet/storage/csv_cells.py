"""CSV files whose cells no spreadsheet takes for formulas, and that are read back exactly.

A spreadsheet program runs a cell that begins with `=`, `+`, `-` or `@` as a formula, also behind a tab or a
line break. Names of files, patients and classes may come from strangers. Such a cell is written with an
apostrophe in front, which the programs take as "this is text". A cell that already begins with apostrophes
and one of these characters gets one more, so that reading removes exactly what writing added. Numbers stay as
they are.

Reference:
    https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import re
from collections.abc import Callable, Container
from typing import Any

import pandas as pd

_STARTS = frozenset("'=+-@\t\r\n")
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def escape_cell(cell: str) -> str:
    """Returns the text of a cell as it is written, so that a spreadsheet shows it as text.

    Example:
        >>> from semenet.storage import escape_cell, unescape_cell
        >>> escape_cell("=1+1"), escape_cell("-0.5"), escape_cell("a.png")
        ("'=1+1", '-0.5', 'a.png')
        >>> unescape_cell(escape_cell("'@name"))
        "'@name"
    """
    return "'" + cell if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unescape_cell(cell: str) -> str:
    """Returns the text of a cell that `escape_cell` wrote.

    Example:
        >>> from semenet.storage import unescape_cell
        >>> unescape_cell("'=1+1"), unescape_cell("'a'")
        ('=1+1', "'a'")
    """
    return cell[1:] if _ESCAPED.match(cell) else cell


def csv_text(frame: pd.DataFrame, **options: Any) -> str:
    """Returns a table as the text of a CSV file, without its index, with escaped cells and column names.

    Args:
        frame: the table.
        **options: arguments of `pandas.DataFrame.to_csv`.

    Example:
        >>> import pandas as pd
        >>> from semenet.storage import csv_text
        >>> print(csv_text(pd.DataFrame({"file": ["=a.png"], "normal": [-0.5]})), end="")
        file,normal
        '=a.png,-0.5
    """
    written = frame.copy(deep=False)
    written.columns = [escape_cell(name) if isinstance(name, str) else name for name in frame.columns]
    for position, dtype in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            cells = frame.iloc[:, position]
            changed = _changed(cells, escape_cell)
            if changed:
                written.isetitem(position, _replaced(cells, changed))
    options = {"lineterminator": "\n"} | options
    text = written.to_csv(index=False, **options)
    if "\r" in text:
        # pandas does not quote a cell with a lone carriage return, and reads it as the end of a row.
        text = written.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, **options)
    return text


def unescape_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table that was read from a CSV file, with the cells and column names of before `csv_text`.

    Args:
        table: the table; columns of numbers stay as they are.

    Returns:
        The same DataFrame, changed in place.

    Example:
        >>> import pandas as pd
        >>> from semenet.storage import unescape_table
        >>> unescape_table(pd.DataFrame({"file": ["'=a.png"], "normal": [0.5]})).values.tolist()
        [['=a.png', 0.5]]
    """
    table.columns = [unescape_cell(name) if isinstance(name, str) else name for name in table.columns]
    for position, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            cells = table.iloc[:, position]
            changed = _changed(cells, unescape_cell, ("'",))
            if changed:
                table.isetitem(position, _replaced(cells, changed))
    return table


def _changed(
    cells: pd.Series, rule: Callable[[str], str], starts: Container[str] = _STARTS
) -> dict[str, str]:
    """Returns the distinct cells that a rule changes, with what they become: they begin with `starts`."""
    special = [cell for cell in cells.unique().tolist() if isinstance(cell, str) and cell[:1] in starts]
    return {cell: new for cell in special if (new := rule(cell)) != cell}


def _replaced(cells: pd.Series, changed: dict[str, str]) -> pd.Series:
    return cells.astype(object).map(lambda cell: changed.get(cell, cell) if isinstance(cell, str) else cell)
