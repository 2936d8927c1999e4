"""Decodes PNG and JPEG inside a TensorFlow graph to the same pixels as `semenet.data.images.reading`."""

import tensorflow as tf

from semenet.data.images.decoded_image import (
    MAX_PIXELS,
    MAX_SIDE,
    MIRRORED_COLUMNS,
    MIRRORED_ROWS,
    TRANSPOSED,
)
from semenet.data.images.formats import jpeg, png
from semenet.data.images.formats.exif import HEAD_BYTES, ORIENTATION_PATTERN
from semenet.data.images.formats.jpeg_limits import MOST_PASSED_PIXELS, MOST_PIXELS_PER_BYTE, MOST_SCANS
from semenet.data.images.jpeg_in_graph import (
    has_all_coefficients,
    has_all_restarts,
    jpeg_structure,
    may_end_early,
    with_surplus,
)
from semenet.data.images.tones import GREY_SHIFT, GREY_WEIGHTS


def decode_image(contents: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decodes a PNG or JPEG radiograph inside a TensorFlow graph to the pixels of `read_image`.

    Args:
        contents: a scalar string tensor, the bytes of an encoded image.
        max_pixels: the largest height x width to decode.

    Returns:
        A uint8 tensor of shape (height, width, 1), values in [0, 255].

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, for images that `read_image` refuses. Only
            `read_image` detects a wrong PNG checksum behind the pixels, and stray bytes between the scans of
            a JPEG.
    """

    def checked(condition: tf.Tensor, *message: str | int) -> tf.Tensor:
        check = tf.debugging.Assert(condition, message)
        # In eager mode the check has run when it returns; in a graph the following operations must wait.
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(contents)

    is_png = tf.strings.substr(contents, 0, len(png.SIGNATURE)) == png.SIGNATURE
    is_jpeg = tf.strings.substr(contents, 0, len(jpeg.SIGNATURE)) == jpeg.SIGNATURE
    is_long_enough = tf.strings.length(contents) > 32
    contents = checked((is_png | is_jpeg) & is_long_enough, "An image must be a PNG or JPEG.")
    head = tf.strings.substr(contents, 0, HEAD_BYTES)
    is_animated = is_png & tf.strings.regex_full_match(head, r"\C*\x00\x00\x00\x08acTL\C*")
    contents = checked(~is_animated, "An image file must hold one image, not an animated PNG.")

    def png_size() -> tf.Tensor:
        width_height = tf.strings.substr(contents, 16, 8)
        return tf.cast(tf.io.decode_raw(width_height, tf.int32, little_endian=False), tf.int64)

    def jpeg_size() -> tf.Tensor:
        return tf.cast(tf.image.extract_jpeg_shape(contents)[:2], tf.int64)

    def grey_jpeg(contents: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_jpeg(contents, channels=1, dct_method="INTEGER_ACCURATE")

    def cmyk(contents: tf.Tensor) -> tf.Tensor:
        colours = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")
        mixed = tf.reduce_sum(tf.cast(colours, tf.int32) * GREY_WEIGHTS, axis=-1, keepdims=True)
        return tf.cast(mixed // (1 << GREY_SHIFT), tf.uint8)

    def sixteen_bits() -> tf.Tensor:
        stored = tf.io.decode_png(contents, channels=1, dtype=tf.uint16)
        return tf.cast((tf.cast(stored, tf.int32) + 128) // 257, tf.uint8)

    def whole_jpeg() -> tf.Tensor:
        structure = jpeg_structure(contents)
        scans = tf.size(structure.scans)
        # A scan may be empty, and costs a decoder a pass over the image.
        is_bounded = (
            (structure.frame >= 0)
            & (scans > 0)
            & (scans <= MOST_SCANS)
            & (tf.cast(scans, tf.int64) * pixels <= MOST_PASSED_PIXELS)
            & (pixels <= MOST_PIXELS_PER_BYTE * tf.cast(structure.size, tf.int64))
        )
        valid = checked(is_bounded, "A JPEG must have its segments, and at most", MOST_SCANS, "scans.")
        with tf.control_dependencies([valid]):
            has_all = has_all_restarts(structure) & has_all_coefficients(structure)
            is_complete = (structure.end > structure.frame) & has_all
            whole = checked(is_complete, "A JPEG must be complete.")
        is_cmyk = tf.image.extract_jpeg_shape(contents)[2] == 4

        def decode(contents: tf.Tensor) -> tf.Tensor:
            return tf.cond(is_cmyk, lambda: cmyk(contents), lambda: grey_jpeg(contents))

        image = decode(whole)
        is_same = tf.cond(
            may_end_early(structure, image, is_cmyk),
            lambda: tf.reduce_all(decode(with_surplus(whole, structure)) == image),
            lambda: tf.constant(True),
        )
        with tf.control_dependencies([checked(is_same, "A JPEG must be complete.")]):
            return tf.identity(image)

    sides = tf.cond(is_png, png_size, jpeg_size)
    pixels = tf.reduce_prod(sides)
    is_in_limits = (pixels > 0) & (pixels <= max_pixels) & (tf.reduce_max(sides) <= MAX_SIDE)
    contents = checked(is_in_limits, "An image must have 1 to", max_pixels, "pixels.")
    is_sixteen_bits = is_png & (tf.strings.substr(head, 24, 1) == b"\x10")
    image = tf.case(
        [(is_sixteen_bits, sixteen_bits), (is_png, lambda: grey_jpeg(contents))],
        whole_jpeg,
    )

    orientation = _orientation_in_graph(head)
    for orientations, step in (
        (TRANSPOSED, lambda image: tf.transpose(image, (1, 0, 2))),
        (MIRRORED_COLUMNS, lambda image: image[:, ::-1]),
        (MIRRORED_ROWS, lambda image: image[::-1]),
    ):
        is_needed = tf.reduce_any(orientation == tf.constant(orientations))
        image = tf.cond(is_needed, lambda step=step, image=image: step(image), lambda image=image: image)
    return tf.ensure_shape(image, (None, None, 1))


def _orientation_in_graph(head: tf.Tensor) -> tf.Tensor:
    """Computes `exif_orientation` in the graph: an int32 scalar, 1 to 8."""
    pattern = r"\C*?" + ORIENTATION_PATTERN % (r"\C", r"\C") + r"\C*"
    tag = tf.strings.regex_replace(head, pattern, r"\1\2", replace_global=False)
    return tf.cond(
        tf.strings.length(tag) == 1,
        lambda: tf.cast(tf.io.decode_raw(tag, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )
