"""Reads DICOM files that hold one image.

Supported are uncompressed files (implicit and explicit, little- and big-endian, deflated), RLE, JPEG
baseline, extended (12 bits) and lossless, JPEG-LS, and JPEG 2000. The grey levels of one channel of 8
to 16 bits, signed or unsigned, follow the file's own attributes, see `dicom_pixels.tones`. Colours (RGB,
palette) of 8 or 16 bits follow the grey rule of `tones`; of YCbCr the stored luma is used, as for a JPEG.

Ignored are overlays, ICC profiles, pixel aspect, shutters, and windows inside the functional groups of
enhanced files. Refused are several frames, floating-point pixels, and 1 or 32 bits.

A file without its 128-byte preamble is recognised by a first element of group 2 or 8.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from semenet.data.images.decoded_image import DecodedImage, check_pixel_count
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.dicom_pixels.attributes import (
    check_lengths,
    check_required,
)
from semenet.data.images.formats.dicom_pixels.codestreams import decode_frame
from semenet.data.images.formats.dicom_pixels.frames import (
    OVERLAY_BIT,
    OVERLAY_BITS_ALLOCATED,
    OVERLAY_GROUPS,
    check_pixel_bytes,
    check_unused_bits,
    declared_overlays,
    decode_run_lengths,
    only_frame,
)
from semenet.data.images.formats.dicom_pixels.levels import check_levels, map_levels
from semenet.data.images.formats.dicom_pixels.palettes import apply_palette
from semenet.data.images.formats.dicom_pixels.streams import CountedReads, inflate
from semenet.data.images.formats.dicom_pixels.tones import tone_table
from semenet.data.images.tones import grey_of_colours
from semenet.errors import SemenetError

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE_BYTES = 128
PREFIX = b"DICM"
# The first bytes of a file by which `is_dicom` recognises DICOM.
HEAD_BYTES = PREAMBLE_BYTES + len(PREFIX)

DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)
UNCOMPRESSED = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)
# The images that each transfer syntax may hold (PS3.5, annex A.4). For 8 bits encoders use processes of other
# numbers, which every decoder reads.
JPEG = "1.2.840.10008.1.2.4."
COMPRESSED = {
    JPEG + "50": ("jpeg",),
    JPEG + "51": ("jpeg",),
    JPEG + "57": ("lossless jpeg",),
    JPEG + "70": ("lossless jpeg",),
    JPEG + "80": ("jpeg-ls",),
    JPEG + "81": ("jpeg-ls",),
    JPEG + "90": ("jpeg 2000",),
    JPEG + "91": ("jpeg 2000",),
}

# Only these attributes are read; all others, private sequences in particular, are skipped.
KEYWORDS = (
    *("SpecificCharacterSet", "Modality", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "PixelPaddingValue"),
    *("PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth", "PresentationLUTShape"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
)


def is_dicom(head: bytes) -> bool:
    """Returns whether a file with these first bytes is DICOM, with its preamble or without.

    Args:
        head: the first `HEAD_BYTES` bytes, or all of a shorter file.
    """
    if head[PREAMBLE_BYTES:HEAD_BYTES] == PREFIX:
        return True
    if len(head) < 16:
        return False
    is_little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and head[2] <= 0x20
    is_big = head[:2] == b"\x00\x08" and head[2] == 0 and head[3] <= 0x20
    # Then follow two capital letters, or the length of a short element.
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    is_short = is_little and head[5:8] == bytes(3) and head[4] <= 64
    return (is_little or is_big) and (is_explicit or is_short)


def decode_dicom(contents: bytes, name: str, max_pixels: int) -> DecodedImage:
    """Decodes the one image of a DICOM file as grey.

    Args:
        contents: the bytes of the file.
        name: the file's name in error messages.
        max_pixels: the largest height x width to decode.

    Returns:
        uint8, or uint16 for colours of 16 bits, with messages about attributes that contradict the image.

    Raises:
        ImageError: the file holds no image, several, one that this module refuses, or one that is too large,
            damaged or truncated; or a required package is not installed.
    """
    try:
        dataset, syntax = _parse(contents, name, max_pixels)
        _check_attributes(dataset, name, max_pixels)
        values, is_luma_first = _stored_values(dataset, syntax, name)
        if dataset.SamplesPerPixel == 3:
            return DecodedImage(_grey_of_samples(dataset, values, is_luma_first))
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            image, notes = apply_palette(dataset, values, name)
            return DecodedImage(image, notes=notes)
        return _apply_tones(dataset, values, name)
    except SemenetError:
        raise
    except ImportError as error:
        raise ImageError(
            f"DICOM needs the package pydicom. Received: {name}, a DICOM file. Run: pip install pydicom"
        ) from error
    except Exception as error:
        # pydicom has no error of its own: a damaged attribute raises nearly any exception, here or where it
        # is first accessed.
        raise damaged_image(
            name, f"a DICOM file that cannot be read ({type(error).__name__}: {error})"
        ) from error


def _parse(contents: bytes, name: str, max_pixels: int) -> tuple["Dataset", str]:
    """Returns the data set, and the transfer syntax of its pixels."""
    from pydicom import dcmread
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag

    tags: list[Any] = [Tag(keyword) for keyword in KEYWORDS]
    tags += [
        Tag(group, element) for group in OVERLAY_GROUPS for element in (OVERLAY_BITS_ALLOCATED, OVERLAY_BIT)
    ]
    # The meta information is read here, since `dcmread` inflates all of a deflated file, whatever its size.
    start = HEAD_BYTES if contents[PREAMBLE_BYTES:HEAD_BYTES] == PREFIX else 0
    stream = CountedReads(contents[start:], name)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, representation, length: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if syntax == DEFLATED:
        inflated = inflate(contents[start + stream.tell() :], name, max_pixels)
        dataset = read_dataset(CountedReads(inflated, name), False, True, specific_tags=tags)
        dataset.set_original_encoding(False, True)
        syntax = EXPLICIT_LITTLE
    else:
        dataset = dcmread(CountedReads(contents, name), force=True, specific_tags=tags)
        if syntax is None:
            is_implicit, is_little = dataset.original_encoding
            syntax = IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE if is_little else EXPLICIT_BIG
    return dataset, str(syntax)


def _check_attributes(dataset: "Dataset", name: str, max_pixels: int) -> None:
    if "PixelData" not in dataset:
        is_floating = {"FloatPixelData", "DoubleFloatPixelData"} & set(dataset.dir())
        contained = (
            "floating-point pixels" if is_floating else f"no pixels (modality {dataset.get('Modality')})"
        )
        raise ImageError(
            f"A DICOM image must hold integer pixels. Received: {name} with {contained}. "
            "Give the file of the radiograph itself."
        )
    check_lengths(dataset, name)
    check_required(dataset, name)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(
            f"An image file must hold one image. Received: {name}, a DICOM file of {frames} frames. "
            "Save the frame that you need as a file."
        )
    check_pixel_count(int(dataset.Rows), int(dataset.Columns), name, max_pixels)
    samples, interpretation = int(dataset.SamplesPerPixel), str(dataset.PhotometricInterpretation)
    interpretations = {
        1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
        3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
    }
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = dataset.get("HighBit")
    high = stored - 1 if high is None else int(high)
    has_usual_bits = allocated in (8, 16) and 1 < stored <= allocated and high == stored - 1
    uses_all_bits = stored == allocated and not dataset.PixelRepresentation
    is_known = interpretation in interpretations.get(samples, ())
    if not is_known or not has_usual_bits or (samples == 3 and not uses_all_bits):
        raise ImageError(
            "A DICOM image must be MONOCHROME1, MONOCHROME2 or PALETTE COLOR with 2 to 16 bits stored in 8 "
            f"or 16, or RGB or YBR with 8 or 16. Received: {name}, {interpretation} with {samples} samples "
            f"per pixel, {stored} bits stored in {allocated}, high bit {high}. Convert it to grey PNG."
        )


def _stored_values(dataset: "Dataset", syntax: str, name: str) -> tuple[np.ndarray, bool | None]:
    """Returns the stored values `(rows, columns[, 3])`, and `is_luma_first` as `decode_frame`."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    samples, allocated = int(dataset.SamplesPerPixel), int(dataset.BitsAllocated)
    shape, bits = (rows, columns, samples, allocated), int(dataset.BitsStored)
    if syntax in COMPRESSED:
        frame = only_frame(dataset.PixelData, False, name)
        values, is_luma_first = decode_frame(frame, COMPRESSED[syntax], shape, name)
        if values.min() < -(1 << (bits - 1)) or values.max() >= 1 << bits:
            raise damaged_image(name, f"a DICOM file whose compressed values exceed its {bits} bits")
        return values, is_luma_first
    if syntax == RLE:
        values = decode_run_lengths(only_frame(dataset.PixelData, True, name), shape, name)
    elif syntax in UNCOMPRESSED:
        if samples > 1:
            check_required(dataset, name, ["PlanarConfiguration"])
        per_pixel = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else samples
        needed = rows * columns * per_pixel * allocated // 8
        check_pixel_bytes(len(dataset.PixelData), needed, name)
        from pydicom.pixels import get_decoder
        from pydicom.uid import UID

        decoder = get_decoder(UID(syntax))
        values, _ = decoder.as_array(dataset, index=0, raw=True, decoding_plugin="")
    else:
        raise ImageError(
            "A DICOM image must be uncompressed, deflated, RLE, JPEG, JPEG-LS or JPEG 2000. Received: "
            f"{name} with transfer syntax {syntax}. Convert it."
        )
    if bits < allocated:
        # pydicom clears the bits above Bits Stored.
        stored = values
        if syntax != RLE:
            order = ">" if syntax == EXPLICIT_BIG and allocated == 16 else "<"
            stored = np.frombuffer(dataset.PixelData, f"{order}u{allocated // 8}", count=rows * columns)
        overlays = declared_overlays(dataset, allocated)
        check_unused_bits(stored, bits, bool(dataset.PixelRepresentation), overlays, name)
    return values, None


def _grey_of_samples(dataset: "Dataset", values: np.ndarray, is_luma_first: bool | None) -> np.ndarray:
    # JPEG 2000 decoders undo ICT and RCT: they return RGB.
    if is_luma_first is None:
        is_luma_first = str(dataset.PhotometricInterpretation) in ("YBR_FULL", "YBR_FULL_422")
    return np.ascontiguousarray(values[..., 0]) if is_luma_first else grey_of_colours(values)


def _apply_tones(dataset: "Dataset", values: np.ndarray, name: str) -> DecodedImage:
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    tones = tone_table(dataset, bits, is_signed, name)
    # The position of a value in the table, from the bits that are stored: others may hold overlays, and in
    # compressed values they may repeat the sign. The sign bit is inverted, so that the lowest value is 0.
    positions = values.astype(np.uint8 if values.itemsize == 1 else np.uint16)
    positions &= positions.dtype.type((1 << bits) - 1)
    if is_signed:
        positions ^= positions.dtype.type(1 << (bits - 1))
    image = map_levels(positions, tones.table)
    notes = check_levels(positions, tones.table, tones.is_padding, tones.source, name)
    return DecodedImage(image, notes=tones.notes + notes)
