"""Maps a DICOM file's stored values to grey levels, and notices where hardly any of these are used.

A LUT, a window or a rescale is a header's claim. One that contradicts the pixels leaves an image that is
almost uniformly grey, and that a network answers like any other.
"""

import math

import numpy as np

from semenet.data.images.errors import ImageError

LEVELS = 256
# An image that uses less than a sixteenth of the grey levels, 16 steps of 255, is noticed.
_FEW = LEVELS // 16
# Labels burned into the image, and single bright pixels, are not counted.
_MARGIN = 0.01
# Pixels that are mapped at once: enough to be fast, while the temporary arrays stay small.
_AT_ONCE = 1 << 20
_SAMPLE = 1 << 16


def map_levels(positions: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Looks up each pixel's grey level.

    Args:
        positions: uint8 or uint16 `(rows, columns)`, positions in `table`.
        table: uint8, the grey level of each storable value.

    Returns:
        The image, uint8 `(rows, columns)`.
    """
    image = np.empty(positions.shape, np.uint8)
    step = max(_AT_ONCE // max(positions.shape[1], 1), 1)
    for start in range(0, len(positions), step):
        image[start : start + step] = table[positions[start : start + step]]
    return image


def check_levels(
    positions: np.ndarray, table: np.ndarray, is_padding: np.ndarray, source: str, name: str
) -> tuple[str, ...]:
    """Notices grey levels that hide the image.

    Args:
        positions: as for `map_levels`.
        table: uint8, the grey level of each storable value.
        is_padding: bool, which values are padding.
        source: what determined the levels, such as "a window of center 40 and width 400".
        name: the file's name in messages.

    Returns:
        The message, or nothing.

    Raises:
        ImageError: the stored values differ, but all become one grey level.
    """
    step = max(math.isqrt(positions.size // _SAMPLE), 1)
    if step > 1:
        # Of a good image a sample is enough, in a tenth of the time.
        try:
            if not _notes(positions[::step, ::step], table, is_padding, source, name):
                return ()
        except ImageError:
            pass
    return _notes(positions, table, is_padding, source, name)


def _notes(
    positions: np.ndarray, table: np.ndarray, is_padding: np.ndarray, source: str, name: str
) -> tuple[str, ...]:
    counts = np.bincount(positions.ravel(), minlength=len(table))
    shown = np.where(is_padding, 0, counts)
    stored = np.flatnonzero(shown)
    if not len(stored):
        raise _one_tone(name, "whose pixels are all padding")
    levels = np.bincount(table, weights=shown, minlength=LEVELS)
    used = np.flatnonzero(levels)
    if len(stored) == 1:
        return (
            f"A radiograph must have more than one grey level. Received: {name}, a blank image, whose pixels "
            f"are all {used[0]} of 255. Check the file.",
        )
    if len(used) == 1:
        raise _one_tone(name, f"where {source} makes all pixels {used[0]} of 255")
    lowest, highest = used[0], used[-1]
    if len(stored) > _FEW:
        share = np.cumsum(levels) / levels.sum()
        lowest, highest = np.searchsorted(share, (_MARGIN, 1 - _MARGIN))
    if highest - lowest > _FEW and not len(used) < _FEW < len(stored):
        return ()
    span = f"grey levels {lowest} to {highest} of 255"
    if highest - lowest > _FEW:
        span = f"{len(used)} of 256 grey levels"
    return (
        "The grey levels of a DICOM file must show its pixels. "
        f"Received: {name}, where {source} leaves {len(stored):,} stored values {span}. "
        "Correct the window, the look-up table or Bits Stored, and read the file again.",
    )


def _one_tone(name: str, what: str) -> ImageError:
    return ImageError(
        f"The grey levels of a DICOM file must show its pixels. Received: {name}, {what}. "
        "Correct the window, the look-up table, the padding or Bits Stored."
    )
