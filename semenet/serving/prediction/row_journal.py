"""The rows of an unfinished table of predictions, kept on disk so that a killed process can resume."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from collections.abc import Iterable
from typing import Any, Self

from semenet.serving.cascade.saved_cascade import DESCRIPTION
from semenet.storage.atomic import OutputError, write_text
from semenet.storage.file_names import shown_name
from semenet.storage.hashing import file_sha256


class RowJournal:
    """The finished rows of a table, in a file beside it: a head line that identifies the work, then the rows.

    Args:
        out: the table; the journal is `.<name>.rows` beside it. None keeps the rows in memory only.
        cascade_folder: the folder of the cascade. Its description holds the hashes of everything that
            influences the decisions.
        columns: the columns of the table that identify its layout.

    Attributes:
        rows: dict from the stamp of a file to its row and its error message, "" for none.

    Raises:
        OutputError: the file holds rows of another cascade or calibration.
    """

    def __init__(
        self, out: pathlib.Path | None, cascade_folder: pathlib.Path | None, columns: Iterable[str]
    ) -> None:
        self.rows: dict[str, tuple[list[Any], str]] = {}
        self.path = None
        if out is None or cascade_folder is None:
            return
        self.path = out.with_name(f".{out.name}.rows")
        description = cascade_folder / DESCRIPTION
        # If there is no description, opening the cascade raises the error.
        cascade = file_sha256(description) if description.is_file() else None
        self.head = json.dumps({"cascade": cascade, "columns": columns})
        written = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        head, _, lines = written.partition("\n")
        if lines and head != self.head:
            raise OutputError(
                "An unfinished table can be resumed only by the same cascade with the same calibration. "
                f"Received: {shown_name(cascade_folder)}, and {shown_name(self.path)}, which holds "
                f"{len(lines.splitlines())} rows of another cascade or calibration. Finish that table with "
                "the cascade that began it, give another --out, or delete that file."
            )
        for line in lines.splitlines():
            try:
                stamp, row, error = json.loads(line)
            except ValueError:
                # The process was killed while it wrote the last line.
                break
            self.rows[stamp] = (row, error)
        if self.rows:
            print(f"resuming after {len(self.rows)} images in {shown_name(self.path)}", file=sys.stderr)

    def __enter__(self) -> Self:
        if self.path is not None:
            text = [self.head, *(json.dumps([stamp, *done]) for stamp, done in self.rows.items())]
            write_text(self.path, "\n".join(text) + "\n")
            self.file = open(self.path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self.path is not None:
            self.file.close()

    def add(self, rows: Iterable[tuple[str, list[Any], str]]) -> None:
        """Adds rows, each a tuple of stamp, row and error message, and writes them to disk."""
        for stamp, row, error in rows:
            self.rows[stamp] = (row, error)
            if self.path is not None:
                self.file.write(json.dumps([stamp, row, error]) + "\n")
        if self.path is not None:
            self.file.flush()
            os.fsync(self.file.fileno())

    def remove(self) -> None:
        """Deletes the file, after the table has been written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
