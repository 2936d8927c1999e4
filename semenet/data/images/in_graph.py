"""Decodes PNG and JPEG inside a TensorFlow graph, to the same pixels as `semenet.data.images.reading`."""

import tensorflow as tf

from semenet.data.images import jpeg_png as headers
from semenet.data.images.jpeg_png import MAX_PIXELS


def decode_image(contents, max_pixels=MAX_PIXELS):
    """Decodes a PNG or JPEG radiograph inside a TensorFlow graph, to the pixels of `read_image`.

    Args:
        contents: a scalar string tensor, the bytes of an encoded image.
        max_pixels: the largest height x width that is decoded.

    Returns:
        A uint8 tensor of shape (height, width, 1), values in [0, 255].

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, for what `read_image` refuses, but for
            a JPEG whose data end early while its end marker stands or that has stray bytes between
            its segments, and a PNG checksum after its pixels: of these only `read_image` knows.
    """

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

    def shallow():
        return tf.io.decode_jpeg(contents, channels=1, dct_method="INTEGER_ACCURATE")

    def inks():
        colours = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")
        mixed = tf.reduce_sum(tf.cast(colours, tf.int32) * [9797, 19234, 3737], axis=-1, keepdims=True)
        return tf.cast(mixed // 32768, tf.uint8)

    def deep():
        stored = tf.io.decode_png(contents, channels=1, dtype=tf.uint16)
        return tf.cast((tf.cast(stored, tf.int32) + 128) // 257, tf.uint8)

    pixels = tf.reduce_prod(tf.cond(is_png, png_size, jpeg_size))
    in_limits = (pixels > 0) & (pixels <= max_pixels)
    contents = checked(in_limits, "An image must have 1 to", max_pixels, "pixels.")
    is_deep = is_png & (tf.strings.substr(head, 24, 1) == b"\x10")
    has_inks = tf.cond(
        is_png, lambda: tf.constant(False), lambda: tf.image.extract_jpeg_shape(contents)[2] == 4
    )
    image = tf.case([(is_deep, deep), (has_inks, inks)], shallow)

    code = _orientation_in_graph(head)
    for orientations, turn in (
        (headers.TRANSPOSED, lambda image: tf.transpose(image, (1, 0, 2))),
        (headers.MIRRORED_COLUMNS, lambda image: image[:, ::-1]),
        (headers.MIRRORED_ROWS, lambda image: image[::-1]),
    ):
        wanted = tf.reduce_any(code == tf.constant(orientations))
        image = tf.cond(wanted, lambda turn=turn, image=image: turn(image), lambda image=image: image)
    return tf.ensure_shape(image, (None, None, 1))


def _orientation_in_graph(head):
    """The twin of `headers.orientation`: an int32 scalar, 1 to 8."""
    pattern = r"\C*?" + headers.ORIENTATION_PATTERN % (r"\C", r"\C") + r"\C*"
    tag = tf.strings.regex_replace(head, pattern, r"\1\2", replace_global=False)
    return tf.cond(
        tf.strings.length(tag) == 1,
        lambda: tf.cast(tf.io.decode_raw(tag, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )
