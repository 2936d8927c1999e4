"""The batches of an unfinished table of embeddings, on disk so that a killed process can resume."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import Any, Self

import numpy as np

from semenet.storage.atomic import OutputError
from semenet.storage.file_names import shown_name


class EmbeddingJournal:
    """The finished batches, in a file beside the table: a head line that identifies the work, then float32.

    Whole batches are kept, because the last bits of an embedding depend on the batch that it was computed in.

    Args:
        out: the table; the journal is `.<name>.batches` beside it. None keeps the batches in memory only.
        work: what the embeddings depend on, ready for JSON.
        count: number of images.
        batch_size: images per batch.
        width: length of an embedding.

    Attributes:
        batches: the finished batches, float32 `(n, width)`.

    Raises:
        OutputError: the file holds the batches of other work.
    """

    def __init__(
        self, out: pathlib.Path | None, work: dict[str, Any], count: int, batch_size: int, width: int
    ) -> None:
        self.batches: list[np.ndarray] = []
        self.path = None
        if out is None:
            return
        self.path = out.with_name(f".{out.name}.batches")
        whole = work | {"count": count, "batch_size": batch_size, "width": width}
        self.head = json.dumps(whole, sort_keys=True).encode() + b"\n"
        written = self.path.read_bytes() if self.path.exists() else b""
        head, newline, values = written.partition(b"\n")
        if not newline:
            return
        if head + newline != self.head:
            raise OutputError(
                "An unfinished table is resumed only with the same network, images, masks and batch size. "
                f"Received: {shown_name(self.path)}, which was begun with others. Give another --out, or "
                "delete that file."
            )
        done = 0
        for start in range(0, count, batch_size):
            images = min(batch_size, count - start)
            size = images * width * 4
            # The process was killed while it wrote the last batch.
            if done + size > len(values):
                break
            self.batches.append(np.frombuffer(values[done : done + size], "<f4").reshape(images, width))
            done += size
        self._kept = len(self.head) + done
        if self.batches:
            images = sum(map(len, self.batches))
            print(f"resuming after {images} images in {shown_name(self.path)}", file=sys.stderr)

    def __enter__(self) -> Self:
        if self.path is not None:
            if self.batches:
                os.truncate(self.path, self._kept)
            else:
                self.path.write_bytes(self.head)
            self.file = open(self.path, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        if self.path is not None:
            self.file.close()

    def add(self, batch: np.ndarray) -> None:
        """Adds a batch and writes it to disk."""
        self.batches.append(batch)
        if self.path is not None:
            self.file.write(batch.astype("<f4").tobytes())
            self.file.flush()
            os.fsync(self.file.fileno())

    def remove(self) -> None:
        """Deletes the file, after the table has been written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
