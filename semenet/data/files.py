"""Writes files that are either whole or absent, whatever stops the process."""

import contextlib
import os
import pathlib
import tempfile


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary file to write, which takes the place of `path` once it is complete on disk.

    A reader, a crash or a full disk meets the old file or the whole new one, never half of it.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        `pathlib.Path` of an empty file in the same folder, with the suffixes of `path`.

    Raises:
        OSError: if the folder is absent, cannot be written, or is full.
    """
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(prefix=".", suffix=f".{path.name}", dir=path.parent)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a UTF-8 text file in one step; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_bytes(path, content):
    """Writes a binary file in one step; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
