"""Locates and reads images inside TFRecord shards.

A locator replaces the path of an image in a manifest whose images are in shards: the shard's file, followed
by `@<offset>+<length>+<CRC-32>` of the encoded image in it. So one image is read without its neighbours, and
functions that take paths take locators too. `semenet.data.pipeline.sharding` writes shards.
"""

import os
import pathlib
import re
import zlib

from semenet.data.images.errors import ImageError

SUFFIX = ".tfrecord"
# The columns of a manifest of shards in addition to its own, for images and, where there are any, masks.
PLACE = ("offset", "bytes", "crc32")
COLUMNS = ("shard", *(f"{kind}_{name}" for kind in ("image", "mask") for name in PLACE))
_LOCATOR = re.compile(
    rf"(?P<file>.+{re.escape(SUFFIX)})@(?P<offset>\d+)\+(?P<length>\d+)\+(?P<crc>[0-9a-f]{{8}})"
)


def locator(shard: str | os.PathLike, offset: int | str, length: int | str, crc: str) -> str:
    """Returns the locator of an image.

    Args:
        shard: the shard's path.
        offset: the position of the encoded image in the file, in bytes.
        length: its length in bytes.
        crc: its CRC-32 as eight hexadecimal digits.
    """
    return f"{shard}@{offset}+{length}+{crc}"


def is_locator(path: str) -> bool:
    """Returns whether a path is a locator."""
    return _LOCATOR.fullmatch(path) is not None


def file_of(path: str) -> str:
    """Returns the file of a path or a locator."""
    found = _LOCATOR.fullmatch(path)
    return path if found is None else found["file"]


def read_shard(path: str) -> bytes:
    """Reads the bytes of an encoded image.

    Args:
        path: the image's locator.

    Returns:
        The bytes of the encoded image.

    Raises:
        ImageError: `path` is not a locator, or the shard is missing, truncated, or holds other bytes at this
            position.
    """
    found = _LOCATOR.fullmatch(path)
    if found is None:
        raise ImageError(
            f"An image in a shard is given by <shard>{SUFFIX}@<offset>+<length>+<CRC-32>. Received: {path}. "
            "Take it from the manifest of the shards."
        )
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
            f"A shard must hold the images that its manifest lists. Received: {file}, which does not hold "
            f"the image of {length:,} bytes at {offset:,} that was written there. Write the shards again "
            "with `semenet data shard`."
        )
    return contents
