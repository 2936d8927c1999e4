"""The grey levels of a DICOM file's stored values: modality LUT, VOI LUT or window, inversion, padding.

The rule is a table from every storable value to a grey level (DICOM PS3.3):

1. Modality LUT, or Rescale Slope and Intercept (C.11.1).
2. The first VOI LUT; without one the first window, LINEAR, LINEAR_EXACT or SIGMOID (C.11.2). Its whole output
   range is mapped to [0, 255]; the range of a LUT is from 0 to the largest value that its bits can hold.
   Without either, the range that Bits Stored can hold, after step 1, is mapped to [0, 255], never the image's
   own extremes.
3. MONOCHROME1 is inverted: black is 0 in the result.
4. Values are rounded to the nearest of 256 levels.
5. Pixel Padding Value, or its range (C.7.5.1.1.2), becomes 0, black, whatever the other steps return.

Attributes that contradict themselves or each other are told, and used where they have one meaning: a LUT
whose entries need fewer bits than declared has the range of its entries; a LUT's first value that was written
with the wrong sign is corrected; a window that is empty or 0/0 is none; a decimal comma is a point.
Presentation LUT Shape repeats the photometric interpretation, and is otherwise told and ignored.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semenet.data.images.errors import ImageError
from semenet.data.images.formats.dicom_pixels.attributes import (
    check_lengths,
    check_required,
    first_decimal,
    text_of,
)

if TYPE_CHECKING:
    from pydicom import Dataset

_SHAPES = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
_SIXTEEN_BITS = 1 << 16


class Tones(NamedTuple):
    """The grey levels of every storable value.

    Attributes:
        table: uint8 of `2**bits` grey levels, the first for the lowest storable value.
        is_padding: bool, which values are padding.
        source: what determined the levels, in messages.
        notes: messages about attributes that were used otherwise than they stand in the file.
    """

    table: np.ndarray
    is_padding: np.ndarray
    source: str
    notes: tuple[str, ...]


def tone_table(dataset: "Dataset", bits: int, is_signed: bool, name: str) -> Tones:
    """Returns the table from stored values to grey levels.

    Args:
        dataset: a `pydicom.Dataset` of one channel.
        bits: Bits Stored, 1 to 16.
        is_signed: whether stored values are signed (two's complement).
        name: the file's name in messages.

    Raises:
        ImageError: an invalid LUT, window or function.
    """
    lowest = -(1 << (bits - 1)) if is_signed else 0
    stored = np.arange(lowest, lowest + (1 << bits), dtype=np.int64)
    notes: list[str] = []
    values, low, high, source = _modality(dataset, stored, name, notes)
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        values, low, high = _look_up(item, np.rint(values), dataset, "VOI LUT", name, notes)
        fraction, source = (values - low) / (high - low), "its VOI LUT"
    elif (window := _first_window(dataset, name, notes)) is not None:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        fraction = _window(values, *window, function, name)
        source = f"its window, center {window[0]:g} and width {window[1]:g},"
    else:
        fraction = (values - low) / (high - low)
    interpretation = dataset.PhotometricInterpretation
    if interpretation == "MONOCHROME1":
        fraction = 1 - fraction
    shape = text_of(dataset, "PresentationLUTShape").upper()
    if shape not in ("", _SHAPES.get(interpretation, shape)):
        notes.append(
            f"Presentation LUT Shape must be {_SHAPES[interpretation]} for {interpretation}. Received: "
            f"{name} with {shape}, which was ignored. Check that its bones are light, and correct the file."
        )
    table = np.rint(fraction * 255).astype(np.uint8)
    is_padding = _padding(dataset, stored)
    table[is_padding] = 0
    return Tones(table, is_padding, source, tuple(notes))


def _first(value: Any) -> Any:
    """Returns the first of several values; None for an empty one."""
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        return value
    return value[0] if len(value) else None


def _modality(
    dataset: "Dataset", stored: np.ndarray, name: str, notes: list[str]
) -> tuple[np.ndarray, float, float, str]:
    """Returns the values after the modality step (float64), the lowest and highest possible, and a source."""
    if dataset.get("ModalityLUTSequence"):
        item = dataset.ModalityLUTSequence[0]
        return *_look_up(item, stored, dataset, "modality LUT", name, notes), "its modality LUT"
    slope, intercept = (
        first_decimal(dataset, keyword, name, notes) for keyword in ("RescaleSlope", "RescaleIntercept")
    )
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    values = stored * slope + intercept
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ImageError(
            f"A rescale slope must be a finite number other than 0. Received: {name} with slope {slope} and "
            f"intercept {intercept}. Export the file again."
        )
    return values, low, high, f"the range of its {len(stored):,} storable values"


def _look_up(
    item: "Dataset", values: np.ndarray, dataset: "Dataset", kind: str, name: str, notes: list[str]
) -> tuple[np.ndarray, float, float]:
    """Applies a LUT (C.11.1.1): values below its range take the first entry, values above it the last."""
    check_required(item, f"{name}, {kind}", ("LUTDescriptor", "LUTData"))
    check_lengths(item, name)
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    # A number of entries above 32,767 that was read as signed.
    count = count % _SIXTEEN_BITS or _SIXTEEN_BITS
    first = _first_mapped(first, count, values, kind, name, notes)
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        entries = np.frombuffer(data, np.uint8 if len(data) == count else f"{order}u2")
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64)) % _SIXTEEN_BITS
    entries = entries[:count]
    if not 1 <= bits <= 16 or len(entries) < count or entries.max() >= 1 << bits:
        raise ImageError(
            f"A DICOM look-up table must have the declared entries, of 1 to 16 bits. Received: {name}, "
            f"{kind} with {len(entries):,} of {count:,} entries, {bits} bits. Export the file again."
        )
    needed = max(int(entries.max()).bit_length(), 1)
    if needed < bits:
        notes.append(
            f"The entries of a DICOM look-up table must use the bits that it declares. Received: {name}, "
            f"{kind} of {bits} bits whose largest entry is {entries.max():,}. It was read as {needed} bits. "
            "Correct the third number of LUT Descriptor."
        )
    places = np.clip(values - first, 0, count - 1).astype(np.int64)
    return entries[places].astype(np.float64), 0.0, float((1 << needed) - 1)


def _first_mapped(first: int, count: int, values: np.ndarray, kind: str, name: str, notes: list[str]) -> int:
    """Returns the first value that a LUT maps, which may have been written or read with the wrong sign.

    Of the two readings the one is used with which the LUT covers more of the values.
    """
    low, high = values.min(), values.max()
    readings = (first, first + _SIXTEEN_BITS if first < 0 else first - _SIXTEEN_BITS)
    covered = [min(start + count - 1, high) - max(start, low) for start in readings]
    if abs(first) < _SIXTEEN_BITS and covered[1] > max(covered[0], 0):
        notes.append(
            f"The first mapped value of a DICOM look-up table must have the sign of the pixels. "
            f"Received: {name}, {kind} that begins at {first:,}, where values are from {low:,.6g} to "
            f"{high:,.6g}. It was read as {readings[1]:,}. Correct the representation of LUT Descriptor."
        )
        return readings[1]
    if first < low and first + count - 1 < high:
        notes.append(
            f"A DICOM look-up table must begin where the values do. Received: {name}, {kind} of {count:,} "
            f"entries that begins at {first:,}, where values are from {low:,.6g} to {high:,.6g}. Values "
            "above its end became its last entry. Correct LUT Descriptor."
        )
    return first


def _first_window(dataset: "Dataset", name: str, notes: list[str]) -> tuple[float, float] | None:
    """Returns the center and the width of the first window; None where there is none."""
    keywords = ("WindowCenter", "WindowWidth")
    center, width = (first_decimal(dataset, keyword, name, notes) for keyword in keywords)
    if center is not None and width is not None and (center, width) != (0, 0):
        return center, width
    if any(keyword in dataset for keyword in keywords):
        texts = [text_of(dataset, keyword) if keyword in dataset else "missing" for keyword in keywords]
        center_text, width_text = (text or "empty" for text in texts)
        notes.append(
            f"A window must have a center and a width of 1 or more. Received: {name} with center "
            f"{center_text} and width {width_text}, which is no window. Without a window all that Bits "
            "Stored can hold is mapped to [0, 255]. Add a window, or remove these attributes."
        )
    return None


def _window(values: np.ndarray, center: float, width: float, function: str, name: str) -> np.ndarray:
    """Applies a window (C.11.2.1.2 and C.11.2.1.3); returns values from 0 to 1."""
    is_wide = width >= 1 if function == "LINEAR" else width > 0
    is_known = function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    if not is_known or not is_wide or not np.isfinite((center, width)).all():
        raise ImageError(
            "A window must be LINEAR of width 1 or more, or LINEAR_EXACT or SIGMOID of more than 0. "
            f"Received: {name} with {function}, centre {center} and width {width}. Correct the attributes."
        )
    if function == "SIGMOID":
        # Beyond 700 the exponential exceeds float64; the level is 0 or 1 long before that.
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _padding(dataset: "Dataset", stored: np.ndarray) -> np.ndarray:
    """Returns which stored values are padding, as bool."""
    padding = _first(dataset.get("PixelPaddingValue"))
    if padding is None:
        return np.zeros(stored.shape, bool)
    limit = _first(dataset.get("PixelPaddingRangeLimit"))
    ends = [int(padding), int(padding if limit is None else limit)]
    # Written as signed but read as unsigned, or vice versa.
    ends = [end - _SIXTEEN_BITS if stored[0] < 0 and end > stored[-1] else end for end in ends]
    ends = [end + _SIXTEEN_BITS if stored[0] == 0 and end < 0 else end for end in ends]
    return (stored >= min(ends)) & (stored <= max(ends))
