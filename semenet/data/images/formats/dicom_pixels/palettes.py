"""The colours of a DICOM file with a palette, as grey."""

from typing import TYPE_CHECKING

import numpy as np

from semenet.data.images.errors import ImageError
from semenet.data.images.formats.dicom_pixels.levels import check_levels, map_levels
from semenet.data.images.tones import eight_bits, grey_of_colours

if TYPE_CHECKING:
    from pydicom import Dataset

COLOURS = ("Red", "Green", "Blue")


def apply_palette(dataset: "Dataset", values: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Looks up the colours of each value (PS3.3, C.7.6.3.1.5 and C.7.6.3.1.6), and mixes them to grey.

    Args:
        dataset: a data set whose photometric interpretation is PALETTE COLOR.
        values: the stored values, `(rows, columns)`.
        name: the file's name in messages.

    Returns:
        The image, uint8 `(rows, columns)`, and messages about a palette that contradicts its header.

    Raises:
        ImageError: the palette makes all values one grey level.
    """
    from pydicom.pixels import apply_color_lut

    bits, notes = int(dataset.BitsStored), ()
    lowest = -(1 << (bits - 1)) if dataset.PixelRepresentation else 0
    storable = np.arange(lowest, lowest + (1 << bits), dtype=np.int32)[np.newaxis]
    colours = apply_color_lut(storable, dataset)[..., :3]
    if colours.dtype == np.uint16 and colours.max() < 1 << 8:
        colours = colours.astype(np.uint8)
        notes = (
            "The entries of a DICOM palette must use the bits that it declares. "
            f"Received: {name} with a palette of 16 bits whose largest entry is {colours.max()}. It was read "
            "as 8 bits. Correct the third number of the palette's descriptors.",
        )
    table = eight_bits(grey_of_colours(colours))[0]
    positions = values.astype(np.int32) - lowest
    if positions.min() < 0 or positions.max() >= 1 << bits:
        raise ImageError(
            f"The values of a DICOM image must fit into its {bits} bits stored. Received: {name} with values "
            f"from {values.min():,} to {values.max():,}. Correct Bits Stored."
        )
    places = positions.astype(np.uint16)
    is_padding = np.zeros(len(table), bool)
    return map_levels(places, table), notes + check_levels(places, table, is_padding, "its palette", name)
