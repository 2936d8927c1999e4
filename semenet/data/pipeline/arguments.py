"""Checks of the arguments of datasets, made before any file is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semenet.errors import SemenetError

if TYPE_CHECKING:
    import pandas as pd


def check_dataset_arguments(
    rows: pd.DataFrame, input_size: tuple[int, int], channels: int, batch_size: int, needs_masks: bool
) -> None:
    """Checks the arguments that all datasets share.

    Args:
        rows: rows of a manifest.
        input_size: (height, width) of the network's input, in pixels.
        channels: 1 or 3.
        batch_size: items in a batch.
        needs_masks: whether every row needs a mask.

    Raises:
        SemenetError: an argument is out of its range, or a mask is missing.
    """
    check_input(input_size, channels)
    if batch_size < 1 or len(rows) < 1:
        raise SemenetError(
            "A dataset needs at least one row and a `batch_size` of 1 or more. "
            f"Received: {len(rows)} rows, batch_size={batch_size}. Pass at least one of each."
        )
    if needs_masks and ("mask_path" not in rows or (rows["mask_path"] == "").any()):
        raise SemenetError(
            "Segmentation, the lungs' box, grey levels standardised by the lungs, masked views and the "
            "attention to lungs need a lung mask for every row. Received: rows with the columns "
            f"{', '.join(rows.columns)}. Fill the manifest's column `mask` in every row; `semenet masks` "
            "finds the lungs."
        )


def check_input(input_size: tuple[int, int], channels: int) -> None:
    """Checks the size and the number of channels of a network's input.

    Args:
        input_size: (height, width), in pixels.
        channels: 1 or 3.

    Raises:
        SemenetError: an argument is out of its range.
    """
    if channels not in (1, 3) or len(input_size) != 2 or min(input_size) < 1:
        raise SemenetError(
            "`input_size` must be (height, width) and `channels` 1 or 3. Received: "
            f"input_size={input_size}, channels={channels}. A network's input_shape has both."
        )
