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
from semenet.storage.json_files import JsonError, parse_json


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
        self._columns = list(columns)
        self.head = json.dumps({"cascade": cascade, "columns": self._columns})
        written = self.path.read_bytes() if self.path.exists() else b""
        head, _, lines = written.partition(b"\n")
        if lines and head != self.head.encode():
            raise OutputError(
                "An unfinished table can be resumed only by the same cascade with the same calibration. "
                f"Received: {shown_name(cascade_folder)}, and {shown_name(self.path)}, which holds "
                f"{len(lines.splitlines())} rows of another cascade or calibration. Finish that table with "
                "the cascade that began it, give another --out, or delete that file."
            )
        for line in lines.splitlines():
            try:
                done = parse_json(line, {}, finite=False)
            except JsonError:
                # The process was killed while it wrote the last line.
                break
            if not self._is_row(done):
                raise OutputError(
                    "The rows of an unfinished table must be those that `semenet predict` wrote. "
                    f"Received: {shown_name(self.path)}, which holds another row. Delete that file."
                )
            stamp, row, error = done
            self.rows[stamp] = (row, error)
        if self.rows:
            print(f"resuming after {len(self.rows)} images in {shown_name(self.path)}", file=sys.stderr)

    def _is_row(self, done: Any) -> bool:
        """Whether a JSON value is a stamp, a file's name with its numbers and texts, and an error message."""
        match done:
            case [str(), [str(), *numbers], str()] if len(numbers) > len(self._columns):
                texts = [numbers.pop() for _ in self._columns]
                earlier = next(iter(self.rows.values()), (done[1],))[0]
                return (
                    len(done[1]) == len(earlier)
                    and all(isinstance(number, int | float | None) for number in numbers)
                    and all(isinstance(text, str | None) for text in texts)
                )
        return False

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
