"""Reads all files of a manifest's rows before use, and leaves out those that cannot be read."""

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from semenet.data.images.errors import ImageError
from semenet.data.images.time_limit import within_time
from semenet.data.pipeline.resized import check_mask_size, read_image_and_mask
from semenet.errors import SemenetError

ON_ERROR = ("raise", "skip")


def screen_rows(
    rows: pd.DataFrame,
    *,
    masks: bool = False,
    skip_at_most: float = 0.05,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads the images, and optionally masks, of all rows, and separates unreadable rows from the others.

    Args:
        rows: rows of a manifest: `file`, `path` and, with `masks`, `mask_path`.
        masks: whether the masks must be readable too.
        skip_at_most: the largest share of the rows, in [0, 1], that may be left out.
        progress: None, or a function called with the number of rows read and the total.

    Returns:
        (usable rows, indexed from 0; the other rows as a DataFrame of text with `file` and `reason`).

    Raises:
        ImageError: more than `skip_at_most` of the rows cannot be read; the message has the first reason.
        SemenetError: `skip_at_most` is outside [0, 1].
    """
    if not 0 <= skip_at_most <= 1:
        raise SemenetError(
            f"`skip_at_most` must be in [0, 1]. Received: {skip_at_most}. The usual value is 0.05."
        )
    mask_paths = rows["mask_path"].tolist() if masks else [None] * len(rows)
    unreadable, skipped = _read_all(read_image_and_mask, rows, mask_paths, progress)
    if len(skipped) > skip_at_most * len(rows):
        raise ImageError(
            f"At most {skip_at_most:.1%} of the rows may be left out. Received: {len(skipped)} of "
            f"{len(rows)} that cannot be read, first: {skipped['reason'][0]} Fix them, or increase the share "
            "that may be skipped."
        )
    return rows[~unreadable].reset_index(drop=True), skipped


def screen_masks(rows: pd.DataFrame, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """Reads the masks of all rows, and only the sizes of their images.

    Args:
        rows: rows of a manifest: `file`, `path` and `mask_path`.
        progress: as for `screen_rows`.

    Returns:
        The rows whose mask cannot be used, as a DataFrame of text with `file` and `reason`.
    """
    return _read_all(check_mask_size, rows, rows["mask_path"].tolist(), progress)[1]


def _read_all(
    read: Callable[[str, Any], Any],
    rows: pd.DataFrame,
    mask_paths: Sequence[str | None],
    progress: Callable[[int, int], None] | None,
) -> tuple[pd.Series, pd.DataFrame]:
    """Returns which rows cannot be read, as a bool Series, and the table of their files and reasons."""

    def read_error(path: str, mask_path: str | None) -> str:
        try:
            within_time(lambda: read(path, mask_path), path)
        except ImageError as error:
            return str(error)
        return ""

    read_errors = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for reason in pool.map(read_error, rows["path"].tolist(), mask_paths):
            read_errors.append(reason)
            if progress is not None:
                progress(len(read_errors), len(rows))
    reasons = pd.Series(read_errors, index=rows.index, dtype=object)
    unreadable = reasons != ""
    table = pd.DataFrame({"file": rows.loc[unreadable, "file"], "reason": reasons[unreadable]})
    return unreadable, table.reset_index(drop=True)
