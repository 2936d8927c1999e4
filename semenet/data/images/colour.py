"""Whether an image file is in colour: radiographs are grey, photographs mostly are not."""

import cv2
import numpy as np
import tensorflow as tf

from semenet.data.images import jpeg_png as headers

# A pixel is coloured where its channels lie further apart than this, and an image where more than this share
# of its pixels is: a film photographed under a tinted light, or arrows drawn on it, stay below.
CHROMA = 48
SHARE = 0.1
# Colour needs no detail: of a JPEG an eighth of the lines and columns is decoded.
_REDUCED = 8
_COLOUR_TYPES = (2, 3, 6)


def is_coloured(contents, name="<bytes>"):
    """Whether a PNG, JPEG or BMP is in colour. Of other formats it is not asked.

    Args:
        contents: bytes of an image that `semenet.data.images.reading.read_image` reads.
        name: what errors call the image.

    Returns:
        bool: more than `SHARE` of the pixels have channels further apart than `CHROMA`.

    Raises:
        ImageError: the header of a PNG or JPEG is damaged.
    """
    if contents.startswith(headers.PNG_SIGNATURE):
        if contents[25] not in _COLOUR_TYPES:
            return False
        flags = cv2.IMREAD_COLOR
    elif contents.startswith(headers.JPEG_SIGNATURE):
        if headers.read_header(contents, name).channels == 1:
            return False
        flags = cv2.IMREAD_REDUCED_COLOR_8
    elif contents.startswith(b"BM"):
        flags = cv2.IMREAD_COLOR
    else:
        return False
    colours = cv2.imdecode(np.frombuffer(contents, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if colours is None:
        raise headers.damaged(name, "whose colours cannot be decoded")
    return bool(np.mean(np.ptp(colours, axis=-1) > CHROMA) > SHARE)


def is_coloured_graph(contents):
    """`is_coloured` of a PNG or JPEG inside a TensorFlow graph.

    Args:
        contents: a scalar string tensor, the bytes of an image that
            `semenet.data.images.in_graph.decode_image` decodes.

    Returns:
        bool scalar.
    """

    def png():
        kind = tf.io.decode_raw(tf.strings.substr(contents, 25, 1), tf.uint8)[0]
        return tf.cond(
            tf.reduce_any(kind == tf.constant(_COLOUR_TYPES, tf.uint8)),
            lambda: _mostly_coloured(tf.io.decode_png(contents, channels=3)),
            lambda: tf.constant(False),
        )

    def jpeg():
        return tf.cond(
            tf.image.extract_jpeg_shape(contents)[2] > 1,
            lambda: _mostly_coloured(
                tf.io.decode_jpeg(contents, channels=3, ratio=_REDUCED, dct_method="INTEGER_ACCURATE")
            ),
            lambda: tf.constant(False),
        )

    return tf.cond(tf.strings.substr(contents, 0, 8) == headers.PNG_SIGNATURE, png, jpeg)


def _mostly_coloured(colours):
    colours = tf.cast(colours, tf.int32)
    apart = tf.reduce_max(colours, axis=-1) - tf.reduce_min(colours, axis=-1)
    return tf.reduce_mean(tf.cast(apart > CHROMA, tf.float64)) > SHARE
