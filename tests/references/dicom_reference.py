"""DICOM files for the tests, and the window formula of PS3.3 computed pixel by pixel."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def written(
    pixels: np.ndarray = RAMP,
    *,
    syntax: str = EXPLICIT_LITTLE,
    frame: bytes | None = None,
    keep: int | None = None,
    drop: Iterable[str] = (),
    **attributes: Any,
) -> bytes:
    """Returns the bytes of a secondary capture.

    Args:
        pixels: (rows, columns) or (rows, columns, 3), in the stored dtype.
        syntax: transfer syntax UID.
        frame: the compressed image, for a compressed transfer syntax.
        keep: number of bytes of the pixels to write; None for all.
        drop: keywords of attributes to leave out.
        **attributes: attributes to add or replace, by keyword.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    if pixels.dtype == np.uint16:
        dataset.BitsStored = 12
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = attributes.get("HighBit", dataset.BitsStored - 1)
    is_little = syntax != "1.2.840.10008.1.2.2"
    data = pixels.astype(pixels.dtype.newbyteorder("<" if is_little else ">")).tobytes()[:keep]
    dataset.PixelData = data + b"\0" * (len(data) % 2) if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OB" if frame is not None or pixels.dtype.itemsize == 1 else "OW"
    if frame is not None:
        dataset["PixelData"].is_undefined_length = True
    for keyword in drop:
        delattr(dataset, keyword)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def table(entries: Sequence[int], first: int = 0, bits: int = 16) -> list:
    """Returns a sequence with one LUT item."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item.LUTData = [int(entry) for entry in entries]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    if first < 0:
        item["LUTDescriptor"].VR = "SS"
    return [item]


def window(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Applies the pseudo-code of C.11.2.1.2.1 with y from 0 to 255, and rounds to integers."""
    values, levels = np.asarray(values, np.float64), np.empty(np.shape(values))
    for index, x in np.ndenumerate(values):
        if x <= center - 0.5 - (width - 1) / 2:
            levels[index] = 0
        elif x > center - 0.5 + (width - 1) / 2:
            levels[index] = 255
        else:
            levels[index] = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.rint(levels)
