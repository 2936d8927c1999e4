"""Checks of CLAHE's two arguments, the same on the host and inside a graph."""

from collections.abc import Sequence

from semenet.errors import SemenetError


def check_clahe_arguments(clip_limit: float, tiles: Sequence[int]) -> tuple[float, tuple[int, int]]:
    """Checks the arguments of CLAHE and returns them in one form.

    Args:
        clip_limit: the highest histogram bin, as a multiple of a flat histogram's; 0 for no limit.
        tiles: the number of tiles across and down, as OpenCV's tileGridSize.

    Returns:
        The limit as a float, and the tiles as two int.

    Raises:
        SemenetError: the limit is negative, or there are less than one tile across or down.
    """
    across, down = (int(count) for count in tiles)
    if not clip_limit >= 0 or across < 1 or down < 1:
        raise SemenetError(
            "`clip_limit` must be 0 or more, and `tiles` two counts of 1 or more. "
            f"Received: clip_limit={clip_limit}, tiles={tiles}. The usual values are 2.0 and (8, 8)."
        )
    return float(clip_limit), (across, down)
