"""DICOM files that hold one picture, to uint8 grey images.

Read are uncompressed files (implicit and explicit, little- and big-endian, deflated), RLE, JPEG
baseline, extended (12 bits) and lossless, JPEG-LS, and JPEG 2000. One channel of 8 to 16 bits, signed
or not, takes its tones from the file's own attributes, by the rule of `dicom_tone`. Of colours (RGB,
palette) of 8 or 16 bits the grey rule of `tones` is taken, of YCbCr the stored luma, as of a JPEG.

Left out of account: overlays, ICC profiles, pixel aspect, shutters, and windows inside the functional
groups of enhanced files. Refused: several frames, floating-point pixels, 1 or 32 bits.

A file without its 128-byte preamble is known by a first element of group 2 or 8.
"""

import io
import math
import zlib

import numpy as np

from semenet.data.images import codestreams
from semenet.data.images.dicom_tone import tone_table
from semenet.data.images.jpeg_png import ImageError, damaged
from semenet.data.images.tones import eight_bits, grey_of_colours
from semenet.errors import SemenetError

HEAD_BYTES = 132
PREFIX = b"DICM"

DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)
UNCOMPRESSED = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)
# The pictures that each transfer syntax may hold (PS3.5, annex A.4); encoders take a process of another
# number for 8 bits, which every decoder reads.
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

# What is read; all else, private sequences above all, is passed over.
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
# Beside its pixels a deflated file holds attributes.
DEFLATED_EXTRA = 16 << 20


def is_dicom(head):
    """Whether a file that begins so is DICOM, with its preamble or without.

    Args:
        head: its first `HEAD_BYTES` bytes, or all.
    """
    if head[128:132] == PREFIX:
        return True
    if len(head) < 16:
        return False
    little = head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and head[2] <= 0x20
    big = head[:2] == b"\x00\x08" and head[2] == 0 and head[3] <= 0x20
    # Then two capital letters, or the length of a short element.
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    is_short = little and head[5:8] == bytes(3) and head[4] <= 64
    return (little or big) and (is_explicit or is_short)


def read_dicom(contents, name, max_pixels):
    """Reads the one picture of a DICOM file.

    Args:
        contents: the bytes of the file.
        name: what errors call it.
        max_pixels: the largest height x width that is decoded.

    Returns:
        (image, stored): uint8 (height, width), values in [0, 255]; and (lowest, highest, number of
        values that can be stored) where no window chose the tones, else None.

    Raises:
        ImageError: no picture in it, several, one that this module refuses, too large, damaged or
            cut short; or a package that is needed is not installed.
    """
    try:
        dataset, syntax = _parse(contents, name, max_pixels)
        _check_attributes(dataset, name, max_pixels)
        values, is_luma_first = _stored_values(dataset, syntax, name)
        if dataset.SamplesPerPixel == 3:
            return eight_bits(_grey_of_samples(dataset, values, is_luma_first, name)), None
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            return _through_palette(dataset, values, name), None
        return _toned(dataset, values, name)
    except SemenetError:
        raise
    except ImportError as error:
        raise ImageError(
            f"DICOM needs the package pydicom. Received: {name}, a DICOM file. Run: pip install pydicom"
        ) from error
    except Exception as error:
        # pydicom has no error of its own: a damaged attribute shows as nearly any exception, here or
        # where it is first looked at.
        raise damaged(name, f"a DICOM file that cannot be read ({type(error).__name__}: {error})") from error


def _parse(contents, name, max_pixels):
    """Returns the data set, and the transfer syntax of its pixels."""
    from pydicom import dcmread
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag

    tags = [Tag(keyword) for keyword in KEYWORDS]
    # Read here, since `dcmread` inflates a deflated file whole, whatever its size.
    start = HEAD_BYTES if contents[128:132] == PREFIX else 0
    stream = io.BytesIO(contents[start:])
    meta = read_dataset(stream, False, True, stop_when=lambda tag, representation, length: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if syntax == DEFLATED:
        inflated = _inflated(contents[start + stream.tell() :], name, max_pixels)
        dataset = read_dataset(io.BytesIO(inflated), False, True, specific_tags=tags)
        dataset.set_original_encoding(False, True)
        syntax = EXPLICIT_LITTLE
    else:
        dataset = dcmread(io.BytesIO(contents), force=True, specific_tags=tags)
        if syntax is None:
            is_implicit, is_little = dataset.original_encoding
            syntax = IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE if is_little else EXPLICIT_BIG
    return dataset, str(syntax)


def _inflated(deflated, name, max_pixels):
    """Inflates a data set, up to what such a picture can need."""
    limit = max_pixels * 6 + DEFLATED_EXTRA
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, limit)
    if not inflater.eof:
        if len(inflated) >= limit:
            raise ImageError(
                f"A deflated DICOM file must hold at most {max_pixels:,} pixels. Received: {name}, which "
                f"inflates beyond {limit:,} bytes. Check where it comes from, make it smaller, or, in "
                "Python, raise `max_pixels`."
            )
        raise damaged(name, "a deflated DICOM file that breaks off")
    return inflated


def _check_attributes(dataset, name, max_pixels):
    if "PixelData" not in dataset:
        what = (
            "floating-point pixels"
            if {"FloatPixelData", "DoubleFloatPixelData"} & set(dataset.dir())
            else None
        )
        what = what or f"no pixels (modality {dataset.get('Modality')})"
        raise ImageError(
            f"A DICOM image must hold pixels of whole numbers. Received: {name} with {what}. "
            "Name the file of the radiograph itself."
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(
            f"An image must be one picture. Received: {name}, a DICOM file of {frames} frames. "
            "Save the frame that is meant."
        )
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if not 0 < rows * columns <= max_pixels:
        raise ImageError(
            f"An image must have 1 to {max_pixels:,} pixels. Received: {name}, whose header says "
            f"{rows:,} x {columns:,}. Check where it comes from, make it smaller, or, in "
            "Python, raise `max_pixels`."
        )
    samples, kind = int(dataset.SamplesPerPixel), str(dataset.PhotometricInterpretation)
    kinds = {1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")}
    kinds[3] = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    fits = allocated in (8, 16) and 1 < stored <= allocated and high == stored - 1
    whole = stored == allocated and not dataset.PixelRepresentation
    if kind not in kinds.get(samples, ()) or not fits or (samples == 3 and not whole):
        raise ImageError(
            "A DICOM image must be MONOCHROME1, MONOCHROME2 or PALETTE COLOR with 2 to 16 bits stored in 8 "
            f"or 16, or RGB or YBR with 8 or 16. Received: {name}, {kind} with {samples} samples a pixel, "
            f"{stored} bits stored in {allocated}, high bit {high}. Convert it to grey PNG."
        )


def _stored_values(dataset, syntax, name):
    """Returns stored values (rows, columns[, 3]), and what a compressed picture says of its colours."""
    shape = (
        int(dataset.Rows),
        int(dataset.Columns),
        int(dataset.SamplesPerPixel),
        int(dataset.BitsAllocated),
    )
    if syntax in COMPRESSED:
        from pydicom.encaps import generate_frames

        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        values, is_luma_first = codestreams.decode_frame(frame, COMPRESSED[syntax], shape, name)
        bits = int(dataset.BitsStored)
        if values.min() < -(1 << (bits - 1)) or values.max() >= 1 << bits:
            raise damaged(name, f"a DICOM file whose compressed values exceed the {bits} bits it says")
        return values, is_luma_first
    if syntax not in (RLE, *UNCOMPRESSED):
        raise ImageError(
            "A DICOM image must be uncompressed, deflated, RLE, JPEG, JPEG-LS or JPEG 2000. Received: "
            f"{name} with transfer syntax {syntax}. Convert it."
        )
    per_pixel = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else shape[2]
    needed = math.prod(shape[:2]) * per_pixel * shape[3] // 8
    if syntax != RLE and len(dataset.PixelData) < needed:
        raise damaged(name, f"a DICOM file with {len(dataset.PixelData):,} of {needed:,} bytes of pixels")
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    options = {"decoding_plugin": "pydicom"} if syntax == RLE else {}
    values, _ = get_decoder(UID(syntax)).as_array(dataset, index=0, raw=True, **options)
    return values, None


def _grey_of_samples(dataset, values, is_luma_first, name):
    kind = str(dataset.PhotometricInterpretation)
    # JPEG 2000 decoders undo ICT and RCT: what comes is RGB.
    if is_luma_first is None:
        is_luma_first = kind in ("YBR_FULL", "YBR_FULL_422")
    return np.ascontiguousarray(values[..., 0]) if is_luma_first else grey_of_colours(values)


def _through_palette(dataset, values, name):
    from pydicom.pixels import apply_color_lut

    return eight_bits(grey_of_colours(apply_color_lut(values, dataset)[..., :3]))


def _toned(dataset, values, name):
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    values = values.astype(np.int32)
    # Unused bits may hold overlays; of compressed values they may repeat the sign.
    values &= (1 << bits) - 1
    if is_signed:
        values = (values ^ (1 << (bits - 1))) - (1 << (bits - 1))
    table, has_window = tone_table(dataset, bits, is_signed, name)
    lowest = -(1 << (bits - 1)) if is_signed else 0
    used = None if has_window else (int(values.min()), int(values.max()), 1 << bits)
    return table[values - lowest], used
