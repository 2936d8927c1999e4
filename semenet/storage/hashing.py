"""SHA-256 hashes of files."""

import hashlib
import os


def file_sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's bytes.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits in lower case.

    Raises:
        OSError: the file cannot be read.

    Example:
        >>> import pathlib
        >>> from semenet.storage import file_sha256
        >>> _ = pathlib.Path("one.txt").write_bytes(b"1")
        >>> file_sha256("one.txt")[:16]
        '6b86b273ff34fce1'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
