"""Reads an image file and whether it is in colour, within a time limit."""

import os

import numpy as np

from semenet.data.images.colour import is_coloured
from semenet.data.images.contents import read_contents
from semenet.data.images.reading import read_image
from semenet.data.images.time_limit import within_time
from semenet.storage.file_names import shown_name


def read_with_colour(path: str | os.PathLike) -> tuple[np.ndarray, bool]:
    """Reads one file among many.

    Args:
        path: the image's file.

    Returns:
        The image, as `read_image` returns it, and whether it is in colour, see `is_coloured`.

    Raises:
        ImageError: as `read_image`, or the file takes longer than `time_limit.SECONDS`.
    """
    name = shown_name(path)

    def read() -> tuple[np.ndarray, bool]:
        contents = read_contents(path)
        return read_image(contents, name=name), is_coloured(contents, name)

    return within_time(read, name)
