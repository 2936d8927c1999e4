"""Radiographs as hospitals and public sets have them, a path or bytes, to uint8 grey images.

`read_image` reads PNG, JPEG, TIFF, BMP and DICOM on the host, and `decode_image` of `graph_images` PNG
and JPEG inside a TensorFlow graph, as the exported network does; both follow one rule and give the same
pixels, bit for bit:

- Grey: a JPEG's stored luma (ITU-R BT.601), with the accurate integer inverse DCT; of a colour or
  palette PNG `(9797 R + 19234 G + 3737 B) >> 15`, libpng's BT.601 (of the light, not the values,
  where the file declares a gamma: libpng again), as of the colours of TIFF, BMP and DICOM. A CMYK
  JPEG is mixed to RGB first, see `cmyk`. Transparency and colour profiles are left out.
- Tone: 8-bit values as they are; 16-bit values v by their stored range, not by the image's own
  extremes: [0, 65535] to [0, 255] as `(v + 128) // 257`, the nearest grey level (no ties arise).
  DICOM: by the file's LUT or window, else by all that its stored bits can hold, see `dicom_tone`.
- Orientation: an EXIF orientation is obeyed where it stands in the first 64 KiB of the file, and a
  TIFF's own.
- Refused: 12-bit JPEG files, animated PNG, multi-page TIFF and multi-frame DICOM, floating-point or
  32-bit values, and more than `max_pixels` pixels. A file that breaks off is never half an image.
"""

import os
import stat
import threading
import warnings

import cv2
import numpy as np

from semenet.data.images import bmp, dicom, tiff
from semenet.data.images import jpeg_png as headers
from semenet.data.images.cmyk import decode_cmyk
from semenet.data.images.jpeg_png import MAX_PIXELS, ImageError, absent
from semenet.data.images.shards import is_locator, read_shard
from semenet.data.images.tones import eight_bits, grey_of_colours
from semenet.storage.file_names import shown_name

# Opening a pipe would wait for whoever writes to it, and a device may have no end.
_NO_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_range_lock = threading.Lock()
_range_warned = False


class PixelRangeWarning(UserWarning):
    """Pixel values that look as if somebody had scaled them."""


def read_image(path_or_bytes, *, name=None, max_pixels=MAX_PIXELS):
    """Reads a radiograph as grey: PNG, JPEG, TIFF, BMP or DICOM.

    Args:
        path_or_bytes: a path, or the bytes of an encoded image. The contents tell the format, not
            the file's name.
        name: what errors and warnings call the image; None for the path, or "<bytes>".
        max_pixels: the largest height x width that is decoded.

    Returns:
        A uint8 array of shape (height, width), values in [0, 255], by the rule of this module.

    Raises:
        ImageError: the file is absent, a folder, empty, of no such format, truncated or damaged, of
            several pictures, larger than `max_pixels`, or refused by the rule of this module.

    Warns:
        PixelRangeWarning: as `check_range`, or the values use under a sixteenth of their stored
            range and no window says which part of it is meant: such an image is nearly one grey.
    """
    name = _name(path_or_bytes) if name is None else name
    image, used = _decode(read_contents(path_or_bytes, name), name, max_pixels)
    if image.dtype == np.uint16:
        used, image = (0, int(image.max()), 1 << 16), eight_bits(image)
    if used is not None:
        _check_share(*used, name)
    check_range(image, name)
    return image


def image_size(path_or_bytes, *, name=None):
    """The size of what `read_image` gives: of a PNG or JPEG from its header, without decoding a pixel.

    Args:
        path_or_bytes: as for `read_image`.
        name: as for `read_image`.

    Returns:
        (height, width), in pixels.

    Raises:
        ImageError: as for `read_image`, of a PNG or JPEG as far as its header tells.
    """
    name = _name(path_or_bytes) if name is None else name
    contents = read_contents(path_or_bytes, name)
    if not contents.startswith((headers.PNG_SIGNATURE, headers.JPEG_SIGNATURE)):
        return read_image(contents, name=name).shape
    height, width, *_ = headers.read_header(contents, name)
    return (width, height) if headers.orientation(contents) in headers.TRANSPOSED else (height, width)


def read_mask(path_or_bytes, *, name=None, max_pixels=MAX_PIXELS):
    """Reads a mask: black is outside, the one other grey level is inside.

    Args:
        path_or_bytes: as for `read_image`.
        name: as for `read_image`.
        max_pixels: as for `read_image`.

    Returns:
        A uint8 array of shape (height, width), values in {0, 1}.

    Raises:
        ImageError: as for `read_image`, or the mask has more than one grey level beside black.
    """
    name = _name(path_or_bytes) if name is None else name
    image, _ = _decode(read_contents(path_or_bytes, name), name, max_pixels)
    inside = image != 0
    if not np.array_equal(image, inside * image.max()):
        raise ImageError(
            f"A mask has two grey levels, black outside and one other inside. Received: {name} with "
            f"{len(np.unique(image))} grey levels. Threshold it, and save it as PNG."
        )
    return inside.astype(np.uint8)


def read_contents(path_or_bytes, name=None):
    """Reads the bytes of an encoded image, whatever they hold.

    Args:
        path_or_bytes: a path, a locator of `semenet.data.images.shards`, or the bytes themselves.
        name: what errors call the image; None for the path, or "<bytes>".

    Returns:
        bytes, at least one.

    Raises:
        ImageError: there is no such file, it is a pipe, a socket or a device, it cannot be read, or it is
            empty.
    """
    name = _name(path_or_bytes) if name is None else name
    if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
        contents = bytes(path_or_bytes)
    elif not _is_path(path_or_bytes):
        raise ImageError(
            "An image is given by its path or its encoded bytes. "
            f"Received: a {type(path_or_bytes).__name__}. Arrays of pixels need no reading."
        )
    elif is_locator(os.fspath(path_or_bytes)):
        contents = read_shard(os.fspath(path_or_bytes))
    else:
        try:
            _check_kind(path_or_bytes, name)
            with open(path_or_bytes, "rb") as file:
                contents = file.read()
        except FileNotFoundError as error:
            raise absent(name) from error
        except OSError as error:
            raise ImageError(
                f"An image must be a file that can be read. Received: {name} ({error.strerror}). "
                "Name the file itself, and check its permissions."
            ) from error
    if not contents:
        raise headers.damaged(name, "which is empty")
    return contents


def check_range(values, name):
    """Warns, once in a process, when pixel values do not span [0, 255] as every network expects.

    Images scaled to [0, 1], or normalised to a mean of 0, are the commonest mistake: the scaling
    is inside the networks. An image that is 0 throughout is black, not scaled.

    Args:
        values: an array of pixel values.
        name: what the warning calls the image.

    Warns:
        PixelRangeWarning: a value lies outside [0, 255] or is no number, or all lie within [0, 1].
    """
    values = np.asarray(values)
    if _range_warned or not values.size:
        return
    # Every image passes here: bytes cannot leave the range, and one row that is not all 0 and 1 is proof.
    if values.dtype == np.uint8 and values.ndim and values[len(values) // 2].max() > 1:
        return
    low, high = values.min(), values.max()
    # Written so that NaN, which compares false with everything, counts as outside.
    inside = low >= 0 and high <= 255
    if not inside or not (high > 1 or high == 0):
        _warn_once(
            f"Pixel values must span [0, 255]: the networks scale them. Received: {name} with values from "
            f"{low:.6g} to {high:.6g}. Hand in unscaled grey values."
        )


def _check_share(low, high, size, name):
    """Warns of values that use under a sixteenth of what their bits can hold: 12 bits kept in 16.

    An image of one value is blank, not badly scaled.
    """
    if high > low and (high - low) < size // 16:
        _warn_once(
            f"Values must use the range that their bits can hold, or a window must say which part is meant. "
            f"Received: {name} with values from {low} to {high} of {size:,} that can be stored, which "
            "reads as almost one grey. Save it with its values scaled up, or give it a window."
        )


def _warn_once(message):
    global _range_warned
    with _range_lock:
        if _range_warned:
            return
        _range_warned = True
    warnings.warn(f"{message} (Said once; others may be concerned.)", PixelRangeWarning, stacklevel=3)


def _is_path(path_or_bytes):
    return isinstance(path_or_bytes, (str, os.PathLike))


def _name(path_or_bytes):
    return shown_name(path_or_bytes) if _is_path(path_or_bytes) else "<bytes>"


def _check_kind(path, name):
    kind = _NO_FILES.get(stat.S_IFMT(os.stat(path).st_mode))
    if kind is not None:
        raise ImageError(
            f"An image must be a file that can be read. Received: {name}, which is {kind}. "
            "Name the file itself, or leave it out."
        )


def _decode(contents, name, max_pixels):
    """Returns the image, uint8 or uint16, upright; and what DICOM says of its range, else None."""
    if contents.startswith((headers.PNG_SIGNATURE, headers.JPEG_SIGNATURE)):
        image = _decode_png_or_jpeg(contents, name, max_pixels)
        code = headers.orientation(contents)
    elif dicom.is_dicom(contents[: dicom.HEAD_BYTES]):
        # Before TIFF: a DICOM file's preamble may be a TIFF's header, for programs that know only that.
        return dicom.read_dicom(contents, name, max_pixels)
    elif contents.startswith(tiff.SIGNATURES):
        page = tiff.read_page(contents, name)
        _check_size(page.height, page.width, name, max_pixels)
        image, code = tiff.decode_tiff(contents, page, name), page.orientation
    elif contents.startswith(bmp.SIGNATURE):
        height, width = bmp.bmp_size(contents, name)
        _check_size(height, width, name, max_pixels)
        colours = _opencv_decode(contents, cv2.IMREAD_COLOR_RGB)
        if colours is None or colours.shape != (height, width, 3):
            raise headers.damaged(name, "which cannot be decoded")
        image, code = grey_of_colours(colours), 1
    else:
        raise ImageError(
            "An image must be a PNG, JPEG, TIFF, BMP or DICOM file, whatever it is called. Received: "
            f"{name}, which begins with {contents[:8]!r}. Convert it to PNG."
        )
    if code in headers.TRANSPOSED:
        image = image.T
    if code in headers.MIRRORED_COLUMNS:
        image = image[:, ::-1]
    if code in headers.MIRRORED_ROWS:
        image = image[::-1]
    return np.ascontiguousarray(image), None


def _check_size(height, width, name, max_pixels):
    if not 0 < height * width <= max_pixels:
        raise ImageError(
            f"An image must have 1 to {max_pixels:,} pixels. Received: {name}, whose header says "
            f"{height:,} x {width:,}. Check where it comes from, make it smaller, or, in "
            "Python, raise `max_pixels`."
        )


def _decode_png_or_jpeg(contents, name, max_pixels):
    header = headers.read_header(contents, name)
    _check_size(header.height, header.width, name, max_pixels)
    has_inks = header.channels == 4
    image = grey_of_colours(decode_cmyk(contents, name)) if has_inks else _opencv_decode(contents)
    if image is None or image.shape != (header.height, header.width):
        raise headers.damaged(name, "which cannot be decoded")
    # Compared as bytes, in a tenth of the time that arrays take: every JPEG passes here.
    if header.channels in (1, 3) and (header.is_progressive or not image[-1, -8:].tobytes().strip(b"\x80")):
        _check_jpeg_data(contents, image, name)
    return image


def _opencv_decode(contents, flags=cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH):
    try:
        return cv2.imdecode(np.frombuffer(contents, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def _check_jpeg_data(contents, image, name):
    """Refuses a JPEG whose data end early though its end marker stands.

    The decoder fills what is missing with 128, in silence, or leaves a progressive image blurred.
    Where the last pixels are 128, or the image is progressive, decode again with bytes put before the
    end marker: to a complete image they are surplus.
    """
    end = contents.rindex(headers.JPEG_END)
    padded = _opencv_decode(contents[:end] + headers.SURPLUS + contents[end:])
    if padded is None or not np.array_equal(padded, image):
        raise headers.damaged(name, "a JPEG whose data end before the image does")
