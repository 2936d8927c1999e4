"""Images inside TFRecord shards: where each lies, and its bytes.

A locator stands in a manifest's `path` for an image in a shard: the shard's file, and behind it
`@<offset>+<length>+<CRC-32>` of the encoded image in it, so that one image is read without its
neighbours and whoever takes paths takes locators too. `semenet.data.pipeline.sharding` writes shards.
"""

import pathlib
import re
import zlib

from semenet.data.images.jpeg_png import ImageError

SUFFIX = ".tfrecord"
# What a manifest of shards says of each row, beside its own columns; the mask's where there are masks.
PLACE = ("offset", "bytes", "crc32")
COLUMNS = ("shard", *(f"{kind}_{name}" for kind in ("image", "mask") for name in PLACE))
_LOCATOR = re.compile(
    rf"(?P<file>.+{re.escape(SUFFIX)})@(?P<offset>\d+)\+(?P<length>\d+)\+(?P<crc>[0-9a-f]{{8}})"
)


def locator(shard, offset, length, crc):
    """The locator of an image.

    Args:
        shard: the shard's path.
        offset: where the encoded image begins in the file, in bytes, as int or text.
        length: its length in bytes, as int or text.
        crc: its CRC-32 as eight hexadecimal digits.
    """
    return f"{shard}@{offset}+{length}+{crc}"


def is_locator(path):
    """Whether a path is a locator."""
    return _LOCATOR.fullmatch(path) is not None


def file_of(path):
    """The file that a path or a locator leads to."""
    found = _LOCATOR.fullmatch(path)
    return path if found is None else found["file"]


def read_shard(path):
    """Reads the bytes of an image.

    Args:
        path: its locator.

    Returns:
        bytes, an encoded image.

    Raises:
        ImageError: the shard is absent, cut short, or holds something else there.
    """
    found = _LOCATOR.fullmatch(path)
    file, offset, length = pathlib.Path(found["file"]), int(found["offset"]), int(found["length"])
    try:
        with open(file, "rb") as stream:
            stream.seek(offset)
            contents = stream.read(length)
    except OSError as error:
        raise ImageError(
            f"A shard must be a file that can be read. Received: {file} ({error.strerror}). "
            "Keep the shards beside their manifest, or write them again with `semenet data shard`."
        ) from error
    if len(contents) < length or f"{zlib.crc32(contents):08x}" != found["crc"]:
        raise ImageError(
            f"A shard must hold what its manifest says. Received: {file}, which has not the image of "
            f"{length:,} bytes at {offset:,} that it had when it was written. Write the shards again with "
            "`semenet data shard`."
        )
    return contents
