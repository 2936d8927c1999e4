"""Paths as arguments, and file names as text that UTF-8 can hold."""

import os
import pathlib
from collections.abc import Iterable


def as_paths(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """Returns one path or several as a list of `pathlib.Path`.

    Args:
        paths: one path, or an iterable of paths. A single `str` is one path, never its letters.

    Returns:
        list of `pathlib.Path`, in the given order.

    Example:
        >>> import pathlib
        >>> from semenet.storage import as_paths
        >>> as_paths("images")
        [PosixPath('images')]
        >>> as_paths(["a.png", pathlib.Path("b.png")])
        [PosixPath('a.png'), PosixPath('b.png')]
    """
    return [pathlib.Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def shown_name(path: str | os.PathLike) -> str:
    r"""Returns a file's name as text that UTF-8 can hold.

    On hospital shares names are found in other encodings, such as Latin-1. Python holds their bytes as lone
    surrogates, which neither UTF-8 nor the strings of pyarrow can hold.

    Args:
        path: the file's name or path.

    Returns:
        The name itself, with bytes that are not UTF-8 as backslash escapes, such as `m\xfcller.jpeg`.

    Example:
        >>> import os
        >>> from semenet.storage import shown_name
        >>> print(shown_name(os.fsdecode(b"m\xfcller.jpeg")))
        m\xfcller.jpeg
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
