"""Image files written for the tests, and both readers, which must return the same pixels."""

import io
import struct
import zlib

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from semenet.data.images.formats import tiff as tags
from semenet.data.images.in_graph import decode_image
from semenet.data.images.reading import read_image

GRAPH = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
NOISE = np.random.default_rng(0).integers(0, 256, (61, 83, 4), dtype=np.uint8)
SMOOTH = cv2.GaussianBlur(NOISE, (0, 0), 3)
GREY = Image.fromarray(SMOOTH[..., 0])
COLOUR = Image.fromarray(NOISE[..., :3])
PALETTE = np.random.default_rng(3).integers(0, 256, 768, dtype=np.uint8)


def encoded(image, kind, **options):
    """Returns the bytes of a Pillow image saved in a format."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    """Returns a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(height, width, data, *chunks):
    """Returns the bytes of a grey 8-bit PNG of this declared size, with the given compressed data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def grey(colours):
    """Returns the grey levels of RGB colours by the rule of `semenet.data.images.reading`."""
    red, green, blue = np.moveaxis(np.asarray(colours, np.int64), -1, 0)
    return (9797 * red + 19234 * green + 3737 * blue) >> 15


TIFF_KINDS = {
    "grey": (GREY, np.asarray(GREY)),
    "one_bit": (GREY.point(lambda value: 255 * (value > 127)).convert("1"), (SMOOTH[..., 0] > 127) * 255),
    "grey_alpha": (Image.merge("LA", (GREY, GREY)), np.asarray(GREY)),
    "colour": (COLOUR, grey(NOISE[..., :3])),
    "colour_alpha": (Image.fromarray(NOISE), grey(NOISE[..., :3])),
    "palette": (COLOUR.quantize(200), grey(np.asarray(COLOUR.quantize(200).convert("RGB")))),
    "deep": (Image.fromarray(NOISE[..., 0].astype(np.uint16) * 256 + 200), None),
}


def tiff(values, order="<", following=0, **fields):
    """An uncompressed TIFF written by hand; fields by their names in `semenet.data.images.formats.tiff`."""
    height, width = values.shape[:2]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    entries = {
        tags.WIDTH: width,
        tags.HEIGHT: height,
        tags.BITS: 8 * values.dtype.itemsize,
        tags.COMPRESSION: 1,
        tags.PHOTOMETRIC: 1 if values.ndim == 2 else 2,
        tags.STRIP_OFFSETS: 8,
        tags.SAMPLES: values.size // (height * width),
        tags.ROWS_PER_STRIP: height,
        tags.STRIP_BYTES: len(data),
    } | {getattr(tags, name): value for name, value in fields.items()}
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    start = b"II*\0" if order == "<" else b"MM\0*"
    return (
        start
        + struct.pack(order + "I", 8 + len(data))
        + data
        + struct.pack(order + "H", len(entries))
        + directory
        + struct.pack(order + "I", following)
    )


def both(contents):
    """Reads an image on the host and in the graph, and checks that the pixels are equal."""
    on_host = read_image(contents)
    assert on_host.dtype == np.uint8
    assert on_host.flags.c_contiguous
    np.testing.assert_array_equal(GRAPH(contents).numpy()[..., 0], on_host)
    return on_host
