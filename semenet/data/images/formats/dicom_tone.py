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

Presentation LUT Shape repeats the photometric interpretation, and is ignored.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from semenet.data.images.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset


def tone_table(dataset: "Dataset", bits: int, is_signed: bool, name: str) -> tuple[np.ndarray, bool]:
    """Returns the table from stored values to grey levels.

    Args:
        dataset: a `pydicom.Dataset` of one channel.
        bits: Bits Stored, 1 to 16.
        is_signed: whether stored values are signed (two's complement).
        name: the file's name in error messages.

    Returns:
        (table, has_window): uint8 of `2**bits` grey levels, the first for the lowest storable value; and
        whether a VOI LUT or a window selects the range.

    Raises:
        ImageError: an invalid LUT, window or function.
    """
    lowest = -(1 << (bits - 1)) if is_signed else 0
    stored = np.arange(lowest, lowest + (1 << bits), dtype=np.int64)
    values, low, high = _modality(dataset, stored, name)
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    has_window = True
    if dataset.get("VOILUTSequence"):
        values, low, high = _look_up(dataset.VOILUTSequence[0], np.rint(values), dataset, name)
        fraction = (values - low) / (high - low)
    elif center is not None and width is not None:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        fraction = _window(values, float(center), float(width), function, name)
    else:
        has_window = False
        fraction = (values - low) / (high - low)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        fraction = 1 - fraction
    table = np.rint(fraction * 255).astype(np.uint8)
    table[_padding(dataset, stored)] = 0
    return table, has_window


def _first(value: Any) -> Any:
    """Returns the first of several values; None where there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, str) or not hasattr(value, "__getitem__"):
        return value
    return value[0] if len(value) else None


def _modality(dataset: "Dataset", stored: np.ndarray, name: str) -> tuple[np.ndarray, float, float]:
    """Returns the values after the modality step (float64), and the lowest and highest possible one."""
    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset.ModalityLUTSequence[0], stored, dataset, name)
    slope, intercept = _first(dataset.get("RescaleSlope")), _first(dataset.get("RescaleIntercept"))
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    values = stored * slope + intercept
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ImageError(
            f"A rescale slope must be a finite number other than 0. Received: {name} with slope {slope} and "
            f"intercept {intercept}. Export the file again."
        )
    return values, low, high


def _look_up(
    item: "Dataset", values: np.ndarray, dataset: "Dataset", name: str
) -> tuple[np.ndarray, float, float]:
    """Applies a LUT (C.11.1.1): values below its range take the first entry, values above it the last."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or 1 << 16
    # A first value that is signed but was read as unsigned.
    if values[0] < 0 and first > values[-1]:
        first -= 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        entries = np.frombuffer(data, np.uint8 if len(data) == count else f"{order}u2")
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64))
    if not 1 <= bits <= 16 or len(entries) < count or entries[:count].max() >= 1 << bits:
        raise ImageError(
            f"A DICOM look-up table must have the declared entries, of 1 to 16 bits. Received: {name} "
            f"with {len(entries):,} of {count:,} entries, {bits} bits. Export the file again."
        )
    places = np.clip(values - first, 0, count - 1).astype(np.int64)
    return entries[places].astype(np.float64), 0.0, float((1 << bits) - 1)


def _window(values: np.ndarray, center: float, width: float, function: str, name: str) -> np.ndarray:
    """Applies a window (C.11.2.1.2 and C.11.2.1.3); returns values from 0 to 1."""
    is_wide = width >= 1 if function == "LINEAR" else width > 0
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not is_wide or not np.isfinite(center):
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
    ends = [end - (1 << 16) if stored[0] < 0 and end > stored[-1] else end for end in ends]
    ends = [end + (1 << 16) if stored[0] == 0 and end < 0 else end for end in ends]
    return (stored >= min(ends)) & (stored <= max(ends))
