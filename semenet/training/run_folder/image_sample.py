"""A hash of the content of some image files: it tells whether they were replaced under their manifest."""

import hashlib
from collections.abc import Sequence

import pandas as pd

from semenet.data.images.contents import read_contents
from semenet.data.images.errors import ImageError

# Of each column of each split: milliseconds to read, and enough to notice that a data set was replaced.
SAMPLED_FILES = 32


def sample_sha256(splits: Sequence[pd.DataFrame]) -> str:
    """Returns a hash of the bytes of image and mask files, evenly spaced over the rows.

    Args:
        splits: rows of a manifest, with the column path, and mask_path if there are masks.

    Returns:
        The SHA-256 over the first, the last and up to 30 files between for each column of each split, as
        hexadecimal digits. A file that cannot be read counts as one without content.
    """
    digest = hashlib.sha256()
    for rows in splits:
        for column in ("path", "mask_path"):
            if column not in rows:
                continue
            files = [file for file in rows[column] if file]
            count = min(SAMPLED_FILES, len(files))
            for number in range(count):
                contents = _contents(files[number * (len(files) - 1) // max(count - 1, 1)])
                digest.update(hashlib.sha256(contents).digest())
    return digest.hexdigest()


def _contents(file: str) -> bytes:
    try:
        return read_contents(file)
    except ImageError:
        # The run itself names the file when it needs it.
        return b""
