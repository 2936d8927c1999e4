"""PNG and JPEG radiographs, a path or bytes, to uint8 grey images.

`read_image` reads on the host (OpenCV) and `decode_image` inside a TensorFlow graph, as the
exported network does; both follow one rule and give the same pixels, bit for bit:

- Grey: a JPEG's stored luma (ITU-R BT.601), with the accurate integer inverse DCT; of a colour or
  palette PNG `(9797 R + 19234 G + 3737 B) >> 15`, libpng's BT.601 (of the light, not the values,
  where the file declares a gamma: libpng again). Transparency is left out.
- Tone: 8-bit values as they are; 16-bit values v by their stored range, not by the image's own
  extremes: [0, 65535] to [0, 255] as `(v + 128) // 257`, the nearest grey level (no ties arise).
- Orientation: an EXIF orientation is obeyed where it stands in the first 64 KiB of the file.
- Refused: CMYK and 12-bit JPEG, animated PNG, and more than `max_pixels` pixels.
"""

import os
import pathlib
import threading
import warnings

import cv2
import numpy as np

from semenet.data import headers
from semenet.data.headers import ImageError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

# A radiograph has at most some 20 million pixels; five times that is a mistake or an attack.
MAX_PIXELS = 100_000_000

_range_lock = threading.Lock()
_range_warned = False


class PixelRangeWarning(UserWarning):
    """Pixel values that look as if somebody had scaled them."""


def read_image(path_or_bytes, *, name=None, max_pixels=MAX_PIXELS):
    """Reads a PNG or JPEG radiograph as grey.

    Args:
        path_or_bytes: a path, or the bytes of an encoded image. The contents tell the format, not
            the file's name.
        name: what errors and warnings call the image; None for the path, or "<bytes>".
        max_pixels: the largest height x width that is decoded.

    Returns:
        A uint8 array of shape (height, width), values in [0, 255], by the rule of this module.

    Raises:
        ImageError: the file is absent, a folder, empty, no PNG or JPEG, truncated or damaged,
            animated, CMYK, 12-bit, or larger than `max_pixels`.
    """
    name = _name(path_or_bytes) if name is None else name
    image = _decode(_contents(path_or_bytes, name), name, max_pixels)
    check_range(image, name)
    return image


def read_mask(path_or_bytes, *, name=None, max_pixels=MAX_PIXELS):
    """Reads a PNG or JPEG mask: black is outside, the one other grey level is inside.

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
    image = _decode(_contents(path_or_bytes, name), name, max_pixels)
    inside = image != 0
    if not np.array_equal(image, inside * image.max()):
        raise ImageError(
            f"A mask has two grey levels, black outside and one other inside. Received: {name} with "
            f"{len(np.unique(image))} grey levels. Threshold it, and save it as PNG."
        )
    return inside.astype(np.uint8)


def decode_image(contents, max_pixels=MAX_PIXELS):
    """Decodes a PNG or JPEG radiograph inside a TensorFlow graph, to the pixels of `read_image`.

    Args:
        contents: a scalar string tensor, the bytes of an encoded image.
        max_pixels: the largest height x width that is decoded.

    Returns:
        A uint8 tensor of shape (height, width, 1), values in [0, 255].

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, for what `read_image` refuses, but for
            a JPEG whose data end early while its end marker stands, and a PNG checksum after its
            pixels: of these only `read_image` knows.
    """
    import tensorflow as tf

    def checked(condition, *message):
        check = tf.debugging.Assert(condition, message)
        # Eagerly a check has happened when it returns; in a graph what follows must wait for it.
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(contents)

    is_png = tf.strings.substr(contents, 0, 8) == headers.PNG_SIGNATURE
    is_jpeg = tf.strings.substr(contents, 0, 3) == headers.JPEG_SIGNATURE
    long_enough = tf.strings.length(contents) > 32
    contents = checked((is_png | is_jpeg) & long_enough, "An image must be a PNG or JPEG.")
    head = tf.strings.substr(contents, 0, headers.HEAD_BYTES)
    animated = is_png & tf.strings.regex_full_match(head, r"\C*\x00\x00\x00\x08acTL\C*")
    contents = checked(~animated, "An image must be one picture, not an animated PNG.")

    def png_size():
        width_height = tf.strings.substr(contents, 16, 8)
        return tf.cast(tf.io.decode_raw(width_height, tf.int32, little_endian=False), tf.int64)

    def jpeg_size():
        return tf.cast(tf.image.extract_jpeg_shape(contents)[:2], tf.int64)

    def eight_bits():
        return tf.io.decode_jpeg(contents, channels=1, dct_method="INTEGER_ACCURATE")

    def sixteen_bits():
        stored = tf.io.decode_png(contents, channels=1, dtype=tf.uint16)
        return tf.cast((tf.cast(stored, tf.int32) + 128) // 257, tf.uint8)

    pixels = tf.reduce_prod(tf.cond(is_png, png_size, jpeg_size))
    in_limits = (pixels > 0) & (pixels <= max_pixels)
    contents = checked(in_limits, "An image must have 1 to", max_pixels, "pixels.")
    is_deep = is_png & (tf.strings.substr(head, 24, 1) == b"\x10")
    image = tf.cond(is_deep, sixteen_bits, eight_bits)

    code = _orientation_in_graph(head)
    for orientations, turn in (
        (headers.TRANSPOSED, lambda image: tf.transpose(image, (1, 0, 2))),
        (headers.MIRRORED_COLUMNS, lambda image: image[:, ::-1]),
        (headers.MIRRORED_ROWS, lambda image: image[::-1]),
    ):
        wanted = tf.reduce_any(code == tf.constant(orientations))
        image = tf.cond(wanted, lambda turn=turn, image=image: turn(image), lambda image=image: image)
    return tf.ensure_shape(image, (None, None, 1))


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
    global _range_warned
    values = np.asarray(values)
    if _range_warned or not values.size:
        return
    low, high = values.min(), values.max()
    # Written so that NaN, which compares false with everything, counts as outside.
    inside = low >= 0 and high <= 255
    if inside and (high > 1 or high == 0):
        return
    with _range_lock:
        if _range_warned:
            return
        _range_warned = True
    warnings.warn(
        f"Pixel values must span [0, 255]: the networks scale them. Received: {name} with values from "
        f"{low:.6g} to {high:.6g}. Hand in unscaled grey values. (Said once; others may be concerned.)",
        PixelRangeWarning,
        stacklevel=2,
    )


def list_images(paths):
    """Lists the images that files and folders name.

    Args:
        paths: paths of files, taken as they are, and of folders, searched through all levels for
            the suffixes `IMAGE_SUFFIXES` in any case; hidden files and folders are passed over.

    Returns:
        A list of pathlib.Path: in the order of `paths`, each folder's sorted, none twice.

    Raises:
        ImageError: there is no path, one does not exist, or a folder holds no image.
    """
    if not paths:
        raise ImageError("Name at least one image or folder of images. Received: no path at all.")
    found = {}
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            files = sorted(_images_below(path))
            if not files:
                raise ImageError(
                    f"A folder must hold images ({', '.join(IMAGE_SUFFIXES)}). Received: {path}, which "
                    "holds none. Name another folder, or files."
                )
            found.update(dict.fromkeys(files))
        elif path.exists():
            found[path] = None
        else:
            raise _absent(path)
    return list(found)


def _images_below(folder):
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield pathlib.Path(parent, name)


def _is_path(path_or_bytes):
    return isinstance(path_or_bytes, (str, os.PathLike))


def _name(path_or_bytes):
    return os.fspath(path_or_bytes) if _is_path(path_or_bytes) else "<bytes>"


def _contents(path_or_bytes, name):
    if not _is_path(path_or_bytes):
        contents = bytes(path_or_bytes)
    else:
        try:
            contents = pathlib.Path(path_or_bytes).read_bytes()
        except FileNotFoundError as error:
            raise _absent(name) from error
        except OSError as error:
            raise ImageError(
                f"An image must be a file that can be read. Received: {name} ({error.strerror}). "
                "Name the file itself, and check its permissions."
            ) from error
    if not contents:
        raise headers.damaged(name, "which is empty")
    return contents


def _absent(name):
    return ImageError(f"An image must exist. Received: {name}, which does not. Check the path.")


def _decode(contents, name, max_pixels):
    height, width = headers.image_size(contents, name)
    if not 0 < height * width <= max_pixels:
        raise ImageError(
            f"An image must have 1 to {max_pixels:,} pixels. Received: {name}, whose header says "
            f"{height:,} x {width:,}. Check where it comes from, or raise `max_pixels`."
        )
    image = _opencv_decode(contents)
    if image is None or image.shape != (height, width):
        raise headers.damaged(name, "which cannot be decoded")
    if contents.startswith(headers.JPEG_SIGNATURE) and (image[-1, -8:] == 128).all():
        _check_jpeg_data(contents, image, name)
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    code = headers.orientation(contents)
    if code in headers.TRANSPOSED:
        image = image.T
    if code in headers.MIRRORED_COLUMNS:
        image = image[:, ::-1]
    if code in headers.MIRRORED_ROWS:
        image = image[::-1]
    return np.ascontiguousarray(image)


def _opencv_decode(contents):
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(contents, np.uint8), flags)
    except cv2.error:
        return None


def _check_jpeg_data(contents, image, name):
    """Refuses a JPEG whose data end early though its end marker stands.

    The decoder fills what is missing with 128, in silence. Where the last pixels are 128, decode
    once more with bytes put before the end marker: to a complete image they are surplus.
    """
    end = contents.rindex(headers.JPEG_END)
    padded = _opencv_decode(contents[:end] + b"\xff\x00" * 64 + contents[end:])
    if padded is None or not np.array_equal(padded, image):
        raise headers.damaged(name, "a JPEG whose data end before the image does")


def _orientation_in_graph(head):
    """The twin of `headers.orientation`: an int32 scalar, 1 to 8."""
    import tensorflow as tf

    pattern = r"\C*?" + headers.ORIENTATION_PATTERN % (r"\C", r"\C") + r"\C*"
    tag = tf.strings.regex_replace(head, pattern, r"\1\2", replace_global=False)
    return tf.cond(
        tf.strings.length(tag) == 1,
        lambda: tf.cast(tf.io.decode_raw(tag, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )
