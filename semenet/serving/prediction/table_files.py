"""Writes tables as CSV or Parquet."""

import importlib.util
import pathlib

import pandas as pd

from semenet.errors import SemenetError
from semenet.storage.atomic import replacing
from semenet.storage.csv_cells import csv_text

SUFFIXES = (".csv", ".parquet")


def check_table_file(out: pathlib.Path, what: str) -> None:
    """Checks that a table can be written.

    Args:
        out: the file.
        what: what the table holds, such as "predictions".

    Raises:
        SemenetError: another ending than .csv or .parquet, or .parquet without pyarrow.
    """
    if out.suffix not in SUFFIXES:
        raise SemenetError(
            f"A table of {what} must be a .csv or a .parquet file. Received: {out}. "
            "Give it a name with one of these endings."
        )
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise SemenetError(
            f"Parquet needs pyarrow, which is not installed. Received: {out}. Run "
            "pip install 'semenet[parquet]', or give the name of a .csv file."
        )


def write_table(frame: pd.DataFrame, out: pathlib.Path) -> None:
    """Writes a table, and replaces an earlier one only when it is complete."""
    with replacing(out) as temporary:
        if out.suffix == ".csv":
            temporary.write_bytes(csv_text(frame).encode())
        else:
            # Opened here, because pyarrow cannot open a path that is not UTF-8.
            with open(temporary, "wb") as file:
                frame.to_parquet(file, index=False)
