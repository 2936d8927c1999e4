"""Tries every file of a manifest's rows before they are used, and leaves out what cannot be read."""

import concurrent.futures
import os

import pandas as pd

from semenet.data.images.errors import ImageError
from semenet.data.pipeline.resized import check_mask_size, read_image_and_mask
from semenet.errors import SemenetError

ON_ERROR = ("raise", "skip")


def screen_rows(rows, *, masks=False, skip_at_most=0.05, progress=None):
    """Reads the images, and masks, of all rows, and parts those that can be used from the others.

    Args:
        rows: rows of a manifest: `file`, `path` and, with `masks`, `mask_path`.
        masks: whether a row's mask must be readable too.
        skip_at_most: the share of the rows, in [0, 1], that may be left out.
        progress: None, or a function of the number of rows read and of all.

    Returns:
        (usable rows, indexed from 0; DataFrame of text with `file` and `reason`, a row left out each).

    Raises:
        ImageError: more than `skip_at_most` of the rows cannot be read; the message names the first.
        ValueError: `skip_at_most` is no share.
    """
    if not 0 <= skip_at_most <= 1:
        raise SemenetError(f"`skip_at_most` must lie in [0, 1]. Received: {skip_at_most}. The usual is 0.05.")
    mask_paths = rows["mask_path"].tolist() if masks else [None] * len(rows)
    bad, skipped = _tried(read_image_and_mask, rows, mask_paths, progress)
    if len(skipped) > skip_at_most * len(rows):
        raise ImageError(
            f"At most {skip_at_most:.1%} of the rows may be left out. Received: {len(skipped)} of "
            f"{len(rows)} that cannot be read, first: {skipped['reason'][0]} Mend them, or raise the share "
            "that may be skipped."
        )
    return rows[~bad].reset_index(drop=True), skipped


def screen_masks(rows, progress=None):
    """Reads the masks of all rows, and of their images no more than what tells the size.

    Args:
        rows: rows of a manifest: `file`, `path` and `mask_path`.
        progress: as for `screen`.

    Returns:
        DataFrame of text with `file` and `reason`, a row for each whose mask cannot be used.
    """
    return _tried(check_mask_size, rows, rows["mask_path"].tolist(), progress)[1]


def _tried(read, rows, mask_paths, progress):
    """Which rows cannot be read, a bool Series, and the table of their files and reasons."""

    def reason(path, mask_path):
        try:
            read(path, mask_path)
        except ImageError as error:
            return str(error)
        return ""

    reasons = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(reason, rows["path"].tolist(), mask_paths):
            reasons.append(found)
            if progress is not None:
                progress(len(reasons), len(rows))
    reasons = pd.Series(reasons, index=rows.index, dtype=object)
    bad = reasons != ""
    table = pd.DataFrame({"file": rows.loc[bad, "file"], "reason": reasons[bad]})
    return bad, table.reset_index(drop=True)
