"""The paths of a manifest's rows on disk or in shards, also if they were written on Windows."""

import os
import pathlib
import re
from collections.abc import Sequence

import pandas as pd

from semenet.data.images.shards import PLACE, is_locator, locator
from semenet.data.manifest.csv_file import describe_lines, join_paths
from semenet.data.manifest.errors import ManifestError

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_TRIED = 100


def row_paths(
    path: pathlib.Path, rows: pd.DataFrame, folder: pathlib.Path, column: str, kind: str
) -> list[str]:
    """Returns the absolute path of each file of a column, or its locator if the rows locate it in a shard.

    Args:
        path: the manifest, for messages.
        rows: its rows.
        folder: the folder that relative paths start from.
        column: "file" or "mask".
        kind: "image" or "mask", as in the columns of shards.

    Raises:
        ManifestError: a path is one of Windows alone, or the columns of shards have other values.
    """
    columns = [f"{kind}_{name}" for name in PLACE]
    if not {"shard", *columns} <= set(rows.columns):
        return join_paths(folder, with_slashes(path, folder, rows[column].tolist()))
    shards = join_paths(folder, with_slashes(path, folder, rows["shard"].tolist()))
    locators = [
        locator(shard, *place) if shard and name else ""
        for name, shard, place in zip(rows[column], shards, rows[columns].values.tolist(), strict=True)
    ]
    wrong = [
        index for index, text in enumerate(locators) if not is_locator(text) and rows[column].iloc[index]
    ]
    if wrong:
        raise ManifestError(
            f"Rows of shards need valid values of shard, {', '.join(columns)}, as `semenet data shard` "
            f"writes them. Received: {path}, {describe_lines(path, wrong)}. Write the shards again."
        )
    return locators


def with_slashes(path: pathlib.Path, folder: pathlib.Path, names: Sequence[str]) -> list[str]:
    r"""Returns paths with forward slashes in place of Windows' backslashes.

    On other systems a backslash may be part of a file's name. A name that exists as it stands is kept.

    Args:
        path: the manifest, for the message.
        folder: the folder that relative paths start from.
        names: the paths.

    Returns:
        The paths, `images/a.png` for `images\a.png`.

    Raises:
        ManifestError: a path has a drive letter or the name of a server, which another system cannot open.
    """
    found = [index for index, name in enumerate(names) if "\\" in name or name[1:2] == ":"]
    if os.sep != "/" or not found:
        return list(names)
    if any(_exists(folder, names[index]) for index in found[:_TRIED]):
        found = [index for index in found if not _exists(folder, names[index])]
    absolute = [index for index in found if _DRIVE.match(names[index])]
    if absolute:
        raise ManifestError(
            "A path with a drive letter or a server's name can be opened on Windows alone. Received: "
            f"{names[absolute[0]]!r} in {path}, {describe_lines(path, absolute)}. Write paths relative to "
            "the folder of the manifest, or to another folder that you pass as --root."
        )
    changed = list(names)
    for index in found:
        changed[index] = names[index].replace("\\", "/")
    return changed


def _exists(folder: pathlib.Path, name: str) -> bool:
    return os.path.lexists(os.path.join(folder, name))
