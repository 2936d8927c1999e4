"""Reads the bytes of encoded images from files and TFRecord shards."""

import os
import stat

from semenet.data.images.errors import ImageError, ImageTypeError, damaged_image, missing_image
from semenet.data.images.shards import is_locator, read_shard
from semenet.storage.file_names import shown_name

# Opening a pipe would wait for a writer, and a device may have no end.
_SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_contents(path_or_bytes: str | os.PathLike | bytes, name: str | None = None) -> bytes:
    """Reads the bytes of an encoded image, in any format.

    Args:
        path_or_bytes: a path, a locator of `semenet.data.images.shards`, or the bytes themselves.
        name: the image's name in error messages; None for the path, or "<bytes>".

    Returns:
        At least one byte.

    Raises:
        MissingImageError: the file does not exist.
        ImageTypeError: neither a path nor bytes.
        ImageError: the file is a pipe, a socket or a device, cannot be read, or is empty.
    """
    name = image_name(path_or_bytes) if name is None else name
    if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
        contents = bytes(path_or_bytes)
    elif not isinstance(path_or_bytes, (str, os.PathLike)):
        raise ImageTypeError(
            "An image must be given by its path or its encoded bytes. "
            f"Received: a {type(path_or_bytes).__name__}. Arrays of pixels need no reading."
        )
    elif is_locator(os.fspath(path_or_bytes)):
        contents = read_shard(os.fspath(path_or_bytes))
    else:
        contents = _read_file(path_or_bytes, name)
    if not contents:
        raise damaged_image(name, "which is empty")
    return contents


def image_name(path_or_bytes: str | os.PathLike | bytes) -> str:
    """Returns the name of an image in messages: its path as text, or "<bytes>"."""
    return shown_name(path_or_bytes) if isinstance(path_or_bytes, (str, os.PathLike)) else "<bytes>"


def _read_file(path: str | os.PathLike, name: str) -> bytes:
    try:
        kind = _SPECIAL_FILES.get(stat.S_IFMT(os.stat(path).st_mode))
        if kind is not None:
            raise ImageError(
                f"An image must be a regular file. Received: {name}, which is {kind}. "
                "Give the file itself, or leave it out."
            )
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise missing_image(name) from error
    except OSError as error:
        raise ImageError(
            f"An image must be a file that can be read. Received: {name} ({error.strerror}). "
            "Give the file itself, and check its permissions."
        ) from error
