"""Detects colour in image files: radiographs are grey, most photographs are not."""

import cv2
import numpy as np
import tensorflow as tf

from semenet.data.images.errors import damaged_image
from semenet.data.images.formats.bmp import is_bmp
from semenet.data.images.formats.jpeg import is_jpeg, jpeg_header
from semenet.data.images.formats.opencv import decode_with_opencv
from semenet.data.images.formats.png import COLOUR_TYPE_POSITION, COLOUR_TYPES, SIGNATURE, is_png

# A pixel is coloured where its channels differ by more than CHROMA grey levels, and an image where more than
# this share of its pixels is. A film photographed in tinted light, or a film with drawn arrows, stays below.
CHROMA = 48
SHARE = 0.1
# Colour needs no detail: of a JPEG an eighth of the rows and columns is decoded.
_REDUCTION = 8


def is_coloured(contents: bytes, name: str = "<bytes>") -> bool:
    """Returns whether a PNG, JPEG or BMP is in colour; False for other formats, which are not examined.

    Args:
        contents: the bytes of an image that `semenet.data.images.reading.read_image` reads.
        name: the image's name in error messages.

    Returns:
        Whether more than `SHARE` of the pixels have channels that differ by more than `CHROMA`.

    Raises:
        ImageError: the header of a PNG or JPEG is damaged.
    """
    if is_png(contents):
        if contents[COLOUR_TYPE_POSITION] not in COLOUR_TYPES:
            return False
        flags = cv2.IMREAD_COLOR
    elif is_jpeg(contents):
        if jpeg_header(contents, name).channels == 1:
            return False
        flags = cv2.IMREAD_REDUCED_COLOR_8
    elif is_bmp(contents):
        flags = cv2.IMREAD_COLOR
    else:
        return False
    colours = decode_with_opencv(contents, flags)
    if colours is None:
        raise damaged_image(name, "whose colours cannot be decoded")
    return bool(np.mean(np.ptp(colours, axis=-1) > CHROMA) > SHARE)


def is_coloured_graph(contents: tf.Tensor) -> tf.Tensor:
    """Computes `is_coloured` of a PNG or JPEG inside a TensorFlow graph.

    Args:
        contents: a scalar string tensor, the bytes of an image that
            `semenet.data.images.in_graph.decode_image` decodes.

    Returns:
        A bool scalar.
    """

    def png() -> tf.Tensor:
        kind = tf.io.decode_raw(tf.strings.substr(contents, COLOUR_TYPE_POSITION, 1), tf.uint8)[0]
        return tf.cond(
            tf.reduce_any(kind == tf.constant(COLOUR_TYPES, tf.uint8)),
            lambda: _is_mostly_coloured(tf.io.decode_png(contents, channels=3)),
            lambda: tf.constant(False),
        )

    def jpeg() -> tf.Tensor:
        return tf.cond(
            tf.image.extract_jpeg_shape(contents)[2] > 1,
            lambda: _is_mostly_coloured(
                tf.io.decode_jpeg(contents, channels=3, ratio=_REDUCTION, dct_method="INTEGER_ACCURATE")
            ),
            lambda: tf.constant(False),
        )

    return tf.cond(tf.strings.substr(contents, 0, len(SIGNATURE)) == SIGNATURE, png, jpeg)


def _is_mostly_coloured(colours: tf.Tensor) -> tf.Tensor:
    colours = tf.cast(colours, tf.int32)
    difference = tf.reduce_max(colours, axis=-1) - tf.reduce_min(colours, axis=-1)
    return tf.reduce_mean(tf.cast(difference > CHROMA, tf.float64)) > SHARE
