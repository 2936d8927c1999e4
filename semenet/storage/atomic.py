"""Writes files that are either whole or absent, whatever stops the process."""

import contextlib
import itertools
import os
import pathlib
import re
import secrets
import shutil
import tempfile

from semenet.errors import SemenetError
from semenet.storage.file_names import shown_name


class OutputError(SemenetError):
    """What was to be written cannot be written there."""


def output_folder(path):
    """Makes a folder to write into, before the work whose result goes there.

    Args:
        path: the folder; its parents are made too.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        OutputError: if it is a file, or cannot be made or written into.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OutputError(
            f"Results go into a folder that can be written to. Received: {path} ({error.strerror}). "
            "Give another folder."
        ) from error


def check_output_folder(path):
    """Refuses what `output_folder` will refuse, and makes no folder: before networks are loaded.

    Args:
        path: the folder.

    Raises:
        OutputError: if it is a file, or cannot be made or written into.
    """
    path = pathlib.Path(path).absolute()
    output_folder(next(place for place in (path, *path.parents) if os.path.exists(place)))


def output_file(path):
    """Makes the folder of a file to write, before the work whose result goes there.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        OutputError: if `path` is a folder, a device or a pipe, or its own folder cannot be made or
            written into.
    """
    path = pathlib.Path(path)
    _check_regular(path)
    output_folder(path.parent)
    return path


def _check_regular(path):
    if path.is_dir():
        raise OutputError(f"Results go into a file. Received: {path}, a folder. Add the file's name.")
    if path.exists() and not path.is_file():
        raise OutputError(
            f"Results go into a file. Received: {path}, a device or pipe, which a file would replace. "
            "Name a file."
        )


def unique_stems(files):
    """Names for the outputs of files: each file's stem, as tables have it, numbered from 2 where it is taken.

    Args:
        files: sequence of pathlib.Path.

    Returns:
        list of str, of which no two are equal, in upper or lower case.
    """
    taken, stems = set(), []
    for file in files:
        own = shown_name(file.stem)
        numbered = (f"{own}_{number}" for number in itertools.count(2))
        # Compared in lower case, since some file systems take "A" and "a" for one name.
        stem = next(name for name in itertools.chain([own], numbered) if name.lower() not in taken)
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def check_new_folder(path):
    """Refuses a folder that `new_folder` could not replace without a loss: before the work.

    Returns:
        `pathlib.Path`, absolute.

    Raises:
        OutputError: it holds something, or is a file.
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(
            f"Results go into a new or an empty folder. Received: {path}, which holds something. "
            "Give another."
        )
    return path


@contextlib.contextmanager
def new_folder(path):
    """Gives a folder to fill, which takes the place of `path` once the block has ended without an error.

    A reader, a crash or a full disk meets no folder or the whole one, never half of it.

    Args:
        path: the folder to write, absent or empty; its parents are made.

    Yields:
        `pathlib.Path` of an empty folder beside it.

    Raises:
        OutputError: if `path` holds something; if it cannot be made, or filled, as on a full disk.
    """
    path = check_new_folder(path)
    output_folder(path.parent)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        folder = temporary / path.name
        folder.mkdir()
        yield folder
        if path.exists():
            path.rmdir()
        os.replace(folder, path)
    except OSError as error:
        raise OutputError(
            f"A folder of results is written whole. Received: {path} ({error.strerror or error}). "
            "Make room, or give another folder."
        ) from error
    finally:
        shutil.rmtree(temporary)


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary file to write, which takes the place of `path` once it is complete on disk.

    A reader, a crash or a full disk meets the old file or the whole new one, never half of it.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        `pathlib.Path` of an empty file in the same folder, with the suffixes of `path`.

    Raises:
        OutputError: if `path` is a device, a pipe or a folder.
        OSError: if the folder is absent, cannot be written, or is full.
    """
    with _temporary_for(path) as (temporary, target):
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, target)


@contextlib.contextmanager
def _temporary_for(path):
    """A temporary file, gone in the end, and the path whose place it may take, which its errors name."""
    # A link stays, and what it leads to is replaced.
    path = pathlib.Path(os.path.realpath(path))
    _check_regular(path)
    temporary = path.parent / f".{secrets.token_hex(4)}.{path.name}"
    # Made as any new file is, so that its mode is what the user's umask says.
    temporary.touch(mode=0o666, exist_ok=False)
    try:
        yield temporary, path
    except OSError as error:
        # A write that fails, for want of room most often, does not say where. Without a number, the message
        # is all there is, and a file's name would hide it.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def is_temporary(path, names):
    """Whether a path is a temporary file that `replacing` made for a file of one of these names.

    Only a killed process leaves one behind.

    Args:
        path: pathlib.Path.
        names: sequence of str, names of the files that were to be written.
    """
    ended = re.fullmatch(r"\.[0-9a-f]{8}\.(.+)", path.name)
    return ended is not None and ended[1] in names and path.is_file()


def write_text(path, text):
    """Writes a UTF-8 text file in one step; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_bytes(path, content):
    """Writes a binary file in one step; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_together(contents):
    """Writes binary files that belong together: whoever finds the last one finds the others that are its own.

    A full disk leaves all old files as they were; a crash between them leaves no last one.

    Args:
        contents: dict of paths to bytes, of one path or more; the folders must exist.

    Raises:
        OutputError: if a path is a device, a pipe or a folder.
        OSError: if a folder is absent, cannot be written, or is full.
    """
    with contextlib.ExitStack() as stack:
        complete = {}
        for path, content in contents.items():
            temporary, target = stack.enter_context(_temporary_for(path))
            temporary.write_bytes(content)
            _to_disk(temporary)
            complete[temporary] = target
        target.unlink(missing_ok=True)
        for temporary, target in complete.items():
            os.replace(temporary, target)
