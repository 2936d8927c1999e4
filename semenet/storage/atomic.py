"""Writes files that are complete or do not exist, even if the process is killed or the disk is full."""

import contextlib
import itertools
import os
import pathlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from semenet.errors import SemenetError
from semenet.storage.file_names import shown_name


class OutputError(SemenetError):
    """Results cannot be written to a given path."""


def output_folder(path: str | os.PathLike) -> pathlib.Path:
    """Creates a folder for results, so that an unusable path is found before the work.

    Args:
        path: the folder; its parents are created too.

    Returns:
        The folder.

    Raises:
        OutputError: it is a file, cannot be created, or cannot be written to.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise OutputError(
            f"Results must go into a folder that can be written to. Received: {path} ({error.strerror}). "
            "Give another folder."
        ) from error


def check_output_folder(path: str | os.PathLike) -> None:
    """Checks that `output_folder` can create a folder, without creating it.

    Args:
        path: the folder.

    Raises:
        OutputError: it is a file, cannot be created, or cannot be written to.
    """
    path = pathlib.Path(path).absolute()
    output_folder(next(existing for existing in (path, *path.parents) if os.path.exists(existing)))


def output_file(path: str | os.PathLike) -> pathlib.Path:
    """Creates the folder of a results file, so that an unusable path is found before the work.

    Args:
        path: the file.

    Returns:
        The path of the file.

    Raises:
        OutputError: `path` is a folder, a device or a pipe, or its folder cannot be created or written to.
    """
    path = pathlib.Path(path)
    _check_regular(path)
    output_folder(path.parent)
    return path


def _check_regular(path: pathlib.Path) -> None:
    if path.is_dir():
        raise OutputError(
            f"Results must go into a file. Received: {path}, which is a folder. Add the file's name."
        )
    if path.exists() and not path.is_file():
        raise OutputError(
            f"Results must go into a file. Received: {path}, which is a device or pipe. Give another path, "
            "since a file would replace it."
        )


def unique_stems(files: Sequence[pathlib.Path]) -> list[str]:
    """Returns distinct names for the outputs of files.

    Args:
        files: the files.

    Returns:
        Each file's stem, as `shown_name` returns it; a stem that is already used is numbered from 2. No two
        are equal when upper and lower case are ignored.

    Example:
        >>> import pathlib
        >>> from semenet.storage import unique_stems
        >>> unique_stems([pathlib.Path("a/scan.png"), pathlib.Path("b/scan.dcm")])
        ['scan', 'scan_2']
    """
    used, stems = set(), []
    for file in files:
        own = shown_name(file.stem)
        numbered = (f"{own}_{number}" for number in itertools.count(2))
        # Compared in lower case, since "A" and "a" are the same name on some file systems.
        stem = next(name for name in itertools.chain([own], numbered) if name.lower() not in used)
        used.add(stem.lower())
        stems.append(stem)
    return stems


def check_new_folder(path: str | os.PathLike) -> pathlib.Path:
    """Checks, before the work, that `new_folder` can replace a folder without losing files.

    Args:
        path: the folder.

    Returns:
        Its absolute path.

    Raises:
        OutputError: it is a file, or a folder that is not empty.
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(
            f"Results must go into a new or an empty folder. Received: {path}, which is not empty. "
            "Give another folder."
        )
    return path


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Provides a folder to fill, which becomes `path` when the block has ended without an error.

    Whenever the process ends, the folder is either complete or does not exist.

    Args:
        path: the folder to write, which must not exist or be empty; its parents are created.

    Yields:
        An empty folder beside `path`.

    Raises:
        OutputError: `path` is not empty, or the folder cannot be created or filled (as on a full disk).

    Example:
        >>> import pathlib
        >>> from semenet.storage import new_folder
        >>> with new_folder("bundle") as folder:
        ...     _ = (folder / "a.txt").write_text("1")
        >>> [file.name for file in pathlib.Path("bundle").iterdir()]
        ['a.txt']
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
            f"A folder of results must be written completely. Received: {path} ({error.strerror or error}). "
            "Free some disk space, or give another folder."
        ) from error
    finally:
        shutil.rmtree(temporary)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Provides a temporary file to write, which replaces `path` when the block has ended without an error.

    Whenever the process ends, the file has either its old or its complete new contents.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        An empty file in the same folder, with the suffixes of `path`.

    Raises:
        OutputError: `path` is a device, a pipe or a folder.
        OSError: the folder does not exist, cannot be written to, or is full.

    Example:
        >>> from semenet.storage import replacing
        >>> with replacing("note.txt") as temporary:
        ...     _ = temporary.write_text("complete")
        >>> open("note.txt").read()
        'complete'
    """
    with _temporary_for(path) as (temporary, target):
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, target)


@contextlib.contextmanager
def _temporary_for(path: str | os.PathLike) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Provides a temporary file, removed at the end, and the path that it may replace, named in errors."""
    # A link stays, and its target is replaced.
    path = pathlib.Path(os.path.realpath(path))
    _check_regular(path)
    temporary = path.parent / f".{secrets.token_hex(4)}.{path.name}"
    # Created like any new file, so that its permissions follow the user's umask.
    temporary.touch(mode=0o666, exist_ok=False)
    try:
        yield temporary, path
    except OSError as error:
        # The error of a failed write, most often on a full disk, does not name the file. An error without a
        # number has only its message, which a file name would hide.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def is_temporary(path: pathlib.Path, names: Sequence[str]) -> bool:
    """Returns whether a path is a temporary file that `replacing` created for a file with one of these names.

    Only a killed process leaves one behind.

    Args:
        path: the path to examine.
        names: names of the files that were to be written.
    """
    match = re.fullmatch(r"\.[0-9a-f]{8}\.(.+)", path.name)
    return match is not None and match[1] in names and path.is_file()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file in one step; see `replacing`.

    Args:
        path: the file to write; its folder must exist.
        text: the contents; line ends are written as given.

    Raises:
        OutputError: as `replacing`.
        OSError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes a binary file in one step; see `replacing`.

    Args:
        path: the file to write; its folder must exist.
        content: the bytes.

    Raises:
        OutputError: as `replacing`.
        OSError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_together(contents: Mapping[str | os.PathLike, bytes]) -> None:
    """Writes binary files that belong together, so that the last one exists only beside the other new ones.

    On a full disk all old files stay as they were. If the process is killed while files are replaced, the
    last one does not exist.

    Args:
        contents: the bytes by path, for one path or more; the folders must exist.

    Raises:
        OutputError: a path is a device, a pipe or a folder.
        OSError: a folder does not exist, cannot be written to, or is full.
    """
    with contextlib.ExitStack() as stack:
        complete = {}
        for path, content in contents.items():
            temporary, target = stack.enter_context(_temporary_for(path))
            temporary.write_bytes(content)
            _flush_to_disk(temporary)
            complete[temporary] = target
        target.unlink(missing_ok=True)
        for temporary, target in complete.items():
            os.replace(temporary, target)
