"""Reads DICOM files that hold one image.

Supported are uncompressed files (implicit and explicit, little- and big-endian, deflated), RLE, JPEG
baseline, extended (12 bits) and lossless, JPEG-LS, and JPEG 2000. The grey levels of one channel of 8 to 16
bits, signed or unsigned, follow the file's own attributes, see `dicom_tone`. Colours (RGB, palette) of 8 or
16 bits follow the grey rule of `tones`; of YCbCr the stored luma is used, as for a JPEG.

Ignored are overlays, ICC profiles, pixel aspect, shutters, and windows inside the functional groups of
enhanced files. Refused are several frames, floating-point pixels, and 1 or 32 bits.

A file without its 128-byte preamble is recognised by a first element of group 2 or 8.
"""

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from semenet.data.images.decoded_image import DecodedImage, ValueRange, check_pixel_count
from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.codestreams import decode_frame
from semenet.data.images.formats.dicom_tone import tone_table
from semenet.data.images.tones import eight_bits, grey_of_colours
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
    *("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
)
# The bytes that a deflated file may hold in addition to its pixels.
_DEFLATED_EXTRA = 16 << 20


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
        uint8, with the range of the stored values where no window selects grey levels.

    Raises:
        ImageError: the file holds no image, several, one that this module refuses, or one that is too large,
            damaged or truncated; or a required package is not installed.
    """
    try:
        dataset, syntax = _parse(contents, name, max_pixels)
        _check_attributes(dataset, name, max_pixels)
        values, is_luma_first = _stored_values(dataset, syntax, name)
        if dataset.SamplesPerPixel == 3:
            return DecodedImage(eight_bits(_grey_of_samples(dataset, values, is_luma_first)))
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            return DecodedImage(_apply_palette(dataset, values))
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
    # The meta information is read here, since `dcmread` inflates all of a deflated file, whatever its size.
    start = HEAD_BYTES if contents[PREAMBLE_BYTES:HEAD_BYTES] == PREFIX else 0
    stream = io.BytesIO(contents[start:])
    meta = read_dataset(stream, False, True, stop_when=lambda tag, representation, length: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if syntax == DEFLATED:
        inflated = _inflate(contents[start + stream.tell() :], name, max_pixels)
        dataset = read_dataset(io.BytesIO(inflated), False, True, specific_tags=tags)
        dataset.set_original_encoding(False, True)
        syntax = EXPLICIT_LITTLE
    else:
        dataset = dcmread(io.BytesIO(contents), force=True, specific_tags=tags)
        if syntax is None:
            is_implicit, is_little = dataset.original_encoding
            syntax = IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE if is_little else EXPLICIT_BIG
    return dataset, str(syntax)


def _inflate(deflated: bytes, name: str, max_pixels: int) -> bytes:
    """Inflates a data set, up to the size that an image of `max_pixels` can need."""
    limit = max_pixels * 6 + _DEFLATED_EXTRA
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, limit)
    if not inflater.eof:
        if len(inflated) >= limit:
            raise ImageError(
                f"A deflated DICOM file must hold at most {max_pixels:,} pixels. Received: {name}, which "
                f"inflates beyond {limit:,} bytes. Check the file's origin, make the image smaller, or, in "
                "Python, raise `max_pixels`."
            )
        raise damaged_image(name, "a truncated deflated DICOM file")
    return inflated


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
    high = int(dataset.get("HighBit", stored - 1))
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
    if syntax in COMPRESSED:
        from pydicom.encaps import generate_frames

        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        values, is_luma_first = decode_frame(
            frame, COMPRESSED[syntax], (rows, columns, samples, allocated), name
        )
        bits = int(dataset.BitsStored)
        if values.min() < -(1 << (bits - 1)) or values.max() >= 1 << bits:
            raise damaged_image(name, f"a DICOM file whose compressed values exceed its {bits} bits")
        return values, is_luma_first
    if syntax not in (RLE, *UNCOMPRESSED):
        raise ImageError(
            "A DICOM image must be uncompressed, deflated, RLE, JPEG, JPEG-LS or JPEG 2000. Received: "
            f"{name} with transfer syntax {syntax}. Convert it."
        )
    per_pixel = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else samples
    needed = rows * columns * per_pixel * allocated // 8
    if syntax != RLE and len(dataset.PixelData) < needed:
        raise damaged_image(
            name, f"a DICOM file with {len(dataset.PixelData):,} of {needed:,} bytes of pixels"
        )
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    plugin = "pydicom" if syntax == RLE else ""
    values, _ = get_decoder(UID(syntax)).as_array(dataset, index=0, raw=True, decoding_plugin=plugin)
    return values, None


def _grey_of_samples(dataset: "Dataset", values: np.ndarray, is_luma_first: bool | None) -> np.ndarray:
    # JPEG 2000 decoders undo ICT and RCT: they return RGB.
    if is_luma_first is None:
        is_luma_first = str(dataset.PhotometricInterpretation) in ("YBR_FULL", "YBR_FULL_422")
    return np.ascontiguousarray(values[..., 0]) if is_luma_first else grey_of_colours(values)


def _apply_palette(dataset: "Dataset", values: np.ndarray) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    return eight_bits(grey_of_colours(apply_color_lut(values, dataset)[..., :3]))


def _apply_tones(dataset: "Dataset", values: np.ndarray, name: str) -> DecodedImage:
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    values = values.astype(np.int32)
    # Unused bits may hold overlays; in compressed values they may repeat the sign.
    values &= (1 << bits) - 1
    if is_signed:
        values = (values ^ (1 << (bits - 1))) - (1 << (bits - 1))
    table, has_window = tone_table(dataset, bits, is_signed, name)
    lowest = -(1 << (bits - 1)) if is_signed else 0
    value_range = None if has_window else ValueRange(int(values.min()), int(values.max()), 1 << bits)
    return DecodedImage(table[values - lowest], value_range=value_range)
