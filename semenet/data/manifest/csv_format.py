"""The encoding and the separator of a CSV file, as text editors and spreadsheet programs write it."""

import codecs
import csv
import dataclasses
import io
import pathlib
import re
import warnings
from collections.abc import Sequence
from typing import TextIO

import pandas as pd

from semenet.data.manifest.errors import ManifestError

# Columns that every manifest has: a header is split correctly if they are among its cells.
MANIFEST_COLUMNS = ("file", "patient")
_HEAD_BYTES = 65536
# The first bytes of files that are no text, and what they are.
_NOT_TEXT = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
}
# The longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Excel's first line that declares the separator.
_DECLARED = re.compile(r'"?sep=([^"\r\n])"?[ \t;,]*(?:\r\n|\r|\n)', re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
        encoding: name of the encoding for `open`.
        separator: the character between two cells.
        skipped_lines: lines before the header: 1 for Excel's line `sep=;`.
    """

    encoding: str = "utf-8-sig"
    separator: str = ","
    skipped_lines: int = 0

    def open(self, path: pathlib.Path) -> TextIO:
        """Opens the file for `csv.reader`, at its header."""
        stream = path.open(encoding=self.encoding, newline="")
        for _ in range(self.skipped_lines):
            stream.readline()
        return stream

    def read(self, path: pathlib.Path) -> pd.DataFrame:
        """Reads the file as text; a cell that a row does not have is NaN.

        Raises:
            UnicodeError: the file is in another encoding.
            pandas.errors.EmptyDataError: there is no header.
            pandas.errors.ParserError, pandas.errors.ParserWarning: a row is longer than the header.
            OSError: the file cannot be read.
        """
        with warnings.catch_warnings():
            # pandas would cut off a row longer than the header with a mere warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                encoding=self.encoding,
                sep=self.separator,
                skiprows=self.skipped_lines,
            )


def find_format(
    path: pathlib.Path, columns: Sequence[str] = MANIFEST_COLUMNS, subject: str = "A manifest"
) -> CsvFormat:
    """Finds out how a CSV file is written.

    UTF-8 and UTF-16 are told by the first bytes. The separator is that of Excel's line `sep=;`, if the file
    begins with one. Otherwise it is the comma, unless only the semicolon or only the tab splits the header
    into cells among which all of `columns` are.

    Args:
        path: the file.
        columns: columns that the header must have.
        subject: what the file is, for messages.

    Returns:
        The format.

    Raises:
        ManifestError: the file is a spreadsheet or an archive, or not a regular file.
        OSError: the file cannot be read.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ManifestError(
            f"{subject} must be a CSV file on disk, since it is read more than once. Received: {path}, "
            "which is a pipe or a device. Save it as a file."
        )
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    for magic, kind in _NOT_TEXT.items():
        if head.startswith(magic):
            raise ManifestError(
                f"{subject} must be a CSV text file. Received: {path}, which is {kind}. Open it in its "
                "program and save it as CSV (UTF-8)."
            )
    encoding = _encoding(head)
    text = head.decode(encoding, errors="replace")
    declared = _DECLARED.match(text)
    if declared:
        return CsvFormat(encoding, declared[1], 1)
    return CsvFormat(encoding, _separator(text, columns))


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    # Every second byte of UTF-16 without a mark is 0, since a header begins with ASCII letters.
    if len(head) >= 8 and not any(head[1:8:2]) and all(head[0:8:2]):
        return "utf-16-le"
    if len(head) >= 8 and not any(head[0:8:2]) and all(head[1:8:2]):
        return "utf-16-be"
    return "utf-8-sig"


def _separator(text: str, columns: Sequence[str]) -> str:
    header = {separator: _first_row(text, separator) for separator in ",;\t"}
    if set(columns) <= set(header[","]):
        return ","
    others = [separator for separator in ";\t" if set(columns) <= set(header[separator])]
    # A header without any comma is split by another separator also where a column is missing.
    others = others or [separator for separator in ";\t" if len(header[separator]) > 1 == len(header[","])]
    return others[0] if len(others) == 1 else ","


def _first_row(text: str, separator: str) -> list[str]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return [cell.strip() for cell in next((row for row in rows if any(row)), [])]
    except csv.Error:
        return []
