"""Finds the one frame of a DICOM file, decodes run lengths, and checks the bits above Bits Stored."""

from typing import TYPE_CHECKING

import numpy as np

from semenet.data.images.errors import ImageError, damaged_image
from semenet.data.images.formats.dicom_pixels.attributes import check_item_count

if TYPE_CHECKING:
    from pydicom import Dataset

# The first bytes of compressed images: JPEG and JPEG-LS, and JPEG 2000.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_RUN_LENGTH_HEADER = 64
_MOST_SEGMENTS = 15
# The groups that may hold overlays (PS3.3, C.9.2), and the element with the position of their bit.
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_BITS_ALLOCATED, OVERLAY_BIT = 0x0100, 0x0102


def only_frame(pixel_data: bytes, is_run_length: bool, name: str) -> bytes:
    """Returns the one frame of encapsulated pixels (PS3.5, A.4).

    Args:
        pixel_data: the value of Pixel Data.
        is_run_length: whether it is compressed by RLE, of which each fragment is a frame.
        name: the file's name in error messages.

    Raises:
        ImageError: there are several frames.
    """
    from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets

    check_item_count(pixel_data, name)
    fragments = list(generate_fragments(pixel_data))[1:]
    frames = sum(is_run_length or fragment.startswith(_STARTS) for fragment in fragments)
    frames = max(frames, len(parse_basic_offsets(pixel_data)))
    if frames > 1:
        raise several_frames(frames, name)
    return next(generate_frames(pixel_data, number_of_frames=1))


def several_frames(frames: int, name: str) -> ImageError:
    """Returns the error for pixels of several frames in a file that does not declare them."""
    return ImageError(
        f"An image file must hold one image, and a DICOM file of several must have Number of Frames. "
        f"Received: {name}, whose pixels are those of {frames:,} images. "
        "Save the frame that you need as a file."
    )


def check_pixel_bytes(size: int, needed: int, name: str) -> None:
    """Refuses uncompressed pixels that are incomplete, or that are those of several images.

    Args:
        size: the length of Pixel Data.
        needed: the bytes of one image.
        name: the file's name in error messages.

    Raises:
        ImageError: there are fewer bytes, or twice as many or more.
    """
    if size < needed:
        raise damaged_image(name, f"a DICOM file with {size:,} of {needed:,} bytes of pixels")
    if size >= 2 * needed and size > needed + 1:
        raise several_frames(size // needed, name)


def decode_run_lengths(frame: bytes, shape: tuple[int, int, int, int], name: str) -> np.ndarray:
    """Decodes a frame of RLE (PS3.5, annex G), never beyond its rows and columns.

    Args:
        frame: the bytes of the frame.
        shape: rows, columns, samples per pixel and bits allocated, 8 or 16.
        name: the file's name in error messages.

    Returns:
        uint8 or uint16 `(rows, columns)`, or `(rows, columns, 3)` for three samples.

    Raises:
        ImageError: the frame is damaged, or has fewer or more values than the image.
    """
    rows, columns, samples, allocated = shape
    width = allocated // 8
    if len(frame) < _RUN_LENGTH_HEADER:
        raise damaged_image(name, "a DICOM file whose run lengths have no header")
    count, *offsets = np.frombuffer(frame, "<u4", count=1 + _MOST_SEGMENTS).tolist()
    offsets = [*offsets[:count], len(frame)]
    if count != samples * width or offsets[0] < _RUN_LENGTH_HEADER or offsets != sorted(offsets):
        raise damaged_image(name, "a DICOM file whose run lengths have a wrong header")
    # Each byte of each sample is a plane; the upper byte comes first.
    values = np.empty((rows, columns, samples, width), np.uint8)
    for plane in range(count):
        segment = frame[offsets[plane] : offsets[plane + 1]]
        sample, byte = divmod(plane, width)
        values[:, :, sample, width - 1 - byte] = _unpacked(segment, rows * columns, name).reshape(
            rows, columns
        )
    whole = values.view("<u2")[..., 0] if width == 2 else values[..., 0]
    return whole[..., 0] if samples == 1 else whole


def _unpacked(segment: bytes, size: int, name: str) -> np.ndarray:
    import imagecodecs

    try:
        unpacked = imagecodecs.packbits_decode(segment, out=np.empty(size, np.uint8))
    except RuntimeError as error:
        problem = "hold more values than its rows and columns" if "SMALL" in str(error) else "are damaged"
        raise damaged_image(name, f"a DICOM file whose run lengths {problem}") from error
    if len(unpacked) != size:
        raise damaged_image(
            name, f"a DICOM file whose run lengths hold {len(unpacked):,} of {size:,} values of a plane"
        )
    return unpacked


def declared_overlays(dataset: "Dataset", allocated: int) -> int:
    """Returns the bits of stored values that hold overlays, by the file's own attributes.

    Args:
        dataset: the data set, with the overlays' attributes.
        allocated: Bits Allocated.
    """
    bits = 0
    for group in OVERLAY_GROUPS:
        position = dataset.get((group, OVERLAY_BIT))
        overlay_bits = dataset.get((group, OVERLAY_BITS_ALLOCATED))
        # An overlay with data of its own declares one bit allocated.
        if position is not None and overlay_bits is not None and int(overlay_bits.value) == allocated:
            bits |= 1 << int(position.value)
    return bits


def check_unused_bits(values: np.ndarray, bits: int, is_signed: bool, overlays: int, name: str) -> None:
    """Refuses values with set bits above Bits Stored, which would be read as others.

    Args:
        values: unsigned integers as they are stored, of Bits Allocated.
        bits: Bits Stored.
        is_signed: whether the bits above may repeat the sign.
        overlays: the bits that hold declared overlays.
        name: the file's name in error messages.

    Raises:
        ImageError: bits are set that are neither the sign's nor a declared overlay's.
    """
    every = (1 << 8 * values.itemsize) - 1
    unused = values.dtype.type((every >> bits << bits) & ~overlays)
    found = int(np.bitwise_or.reduce(values, axis=None))
    if not found & int(unused):
        return
    above = values & unused
    if is_signed:
        repeats_sign = (above == unused) & (values >> (bits - 1) & 1 == 1)
        above = above[(above != 0) & ~repeats_sign]
    if above.any():
        raise ImageError(
            f"The values of a DICOM image must fit into its {bits} bits stored. Received: {name}, whose "
            f"values reach {found:,}; the bits above are neither a sign nor a declared overlay. Correct Bits "
            "Stored and High Bit, or declare the overlay."
        )
