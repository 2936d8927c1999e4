"""Leaves out the files of a split that cannot be read, before an evaluation starts."""

import pandas as pd

from semenet.data.checks.screening import screen_masks, screen_rows
from semenet.data.images.errors import ImageError
from semenet.inference.lung_masks import LungMasks
from semenet.progress import show_steps
from semenet.training.run_folder.run import Run


def rows_to_evaluate(
    run: Run, rows: pd.DataFrame, masks: LungMasks, on_error: str, skip_at_most: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the rows to evaluate and a table (file, reason) of what was left out.

    Args:
        run: the network.
        rows: rows of a split.
        masks: source of the lung masks.
        on_error: "raise" or "skip".
        skip_at_most: the largest share of the rows that may be skipped.

    Raises:
        ImageError: a mask that is needed cannot be read, or too many files cannot be read.
    """
    needs_masks = run.segments or (run.needs_lungs and masks.run is None)
    skipped = pd.DataFrame(columns=["file", "reason"])
    with show_steps("Reading") as progress:
        if on_error == "skip":
            rows, skipped = screen_rows(rows, masks=needs_masks, skip_at_most=skip_at_most, progress=progress)
        if needs_masks or masks.run is not None or not masks.has_mask(rows).any():
            return rows, skipped
        # These masks are read last in an evaluation; errors in them should be known first.
        bad = screen_masks(rows[masks.has_mask(rows)], progress)
    if len(bad) and on_error != "skip":
        raise ImageError(
            "Lung masks that locate the heat maps must be readable and match their images, or be left out. "
            f"Received: {len(bad)} that cannot be used, first: {bad['reason'][0]} "
            "Fix them, or leave them out with --on-error skip."
        )
    mask_path = rows["mask_path"].where(~rows["file"].isin(bad["file"]), "")
    bad["reason"] = "only its mask was left out: " + bad["reason"]
    return rows.assign(mask_path=mask_path), pd.concat([skipped, bad])
