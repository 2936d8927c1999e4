"""Reads the bytes of encoded images from files and TFRecord shards."""

import os
import stat

from semenet.data.images.decoded_image import MAX_PIXELS
from semenet.data.images.errors import ImageError, ImageTypeError, damaged_image, missing_image
from semenet.data.images.shards import file_of, is_locator, read_shard
from semenet.storage.file_names import shown_name

# What the largest image, of two bytes and three colours, needs, and as much for a header as any has.
MAX_BYTES = 6 * MAX_PIXELS + (64 << 20)

# Opening a pipe would wait for a writer, and a device may have no end.
_SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_contents(
    path_or_bytes: str | os.PathLike | bytes, name: str | None = None, *, max_bytes: int = MAX_BYTES
) -> bytes:
    """Reads the bytes of an encoded image, in any format.

    Args:
        path_or_bytes: a path, a locator of `semenet.data.images.shards`, or the bytes themselves.
        name: the image's name in error messages; None for the path, or "<bytes>".
        max_bytes: the longest file to read.

    Returns:
        At least one byte.

    Raises:
        MissingImageError: the file does not exist.
        ImageTypeError: neither a path nor bytes.
        ImageError: the file is a pipe, a socket or a device, is longer than `max_bytes`, cannot be read, or
            is empty.
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
        check_regular_file(file_of(os.fspath(path_or_bytes)), name)
        contents = read_shard(os.fspath(path_or_bytes))
    else:
        contents = _read_file(path_or_bytes, name, max_bytes)
    if not contents:
        raise damaged_image(name, "which is empty")
    return contents


def image_name(path_or_bytes: str | os.PathLike | bytes) -> str:
    """Returns the name of an image in messages: its path as text, or "<bytes>"."""
    return shown_name(path_or_bytes) if isinstance(path_or_bytes, (str, os.PathLike)) else "<bytes>"


def check_regular_file(path: str | os.PathLike, name: str) -> int | None:
    """Refuses a pipe, a socket or a device before it is opened.

    Args:
        path: the file.
        name: its name in error messages.

    Returns:
        Its length in bytes; None for one that does not exist.

    Raises:
        ImageError: it is none of a file, a folder or a link to one.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    kind = _SPECIAL_FILES.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise ImageError(
            f"An image must be a regular file. Received: {name}, which is {kind}. "
            "Give the file itself, or leave it out."
        )
    return status.st_size


def _read_file(path: str | os.PathLike, name: str, max_bytes: int) -> bytes:
    try:
        size = check_regular_file(path, name)
        if size is not None and size > max_bytes:
            raise ImageError(
                f"The file of an image must have at most {max_bytes:,} bytes. Received: {name} with "
                f"{size:,}. Check the file, or make the image smaller."
            )
        with open(path, "rb") as file:
            contents = file.read((size or 0) + 1)
            if len(contents) > (size or 0):
                # It grows, or is a file of the system, which declares no length and may have no end.
                contents += file.read(max_bytes - len(contents) + 1)
        if len(contents) > max_bytes:
            raise ImageError(
                f"The file of an image must have at most {max_bytes:,} bytes. Received: {name} with more. "
                "Check the file."
            )
        return contents
    except FileNotFoundError as error:
        raise missing_image(name) from error
    except OSError as error:
        raise ImageError(
            f"An image must be a file that can be read. Received: {name} ({error.strerror}). "
            "Give the file itself, and check its permissions."
        ) from error
