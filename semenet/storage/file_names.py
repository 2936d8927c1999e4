"""How the names of files stand in tables and messages, which are UTF-8."""

import os


def shown_name(path):
    r"""A file's name as text that UTF-8 can hold.

    On hospital shares names are found in other encodings, such as Latin-1. Python holds their bytes as lone
    surrogates, which neither UTF-8 nor the strings of pyarrow take.

    Args:
        path: str or path.

    Returns:
        str: the name itself, bytes that are not UTF-8 as backslash escapes, such as `m\xfcller.jpeg`.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
