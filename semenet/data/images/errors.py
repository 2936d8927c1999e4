"""Errors and warnings about images."""

from semenet.errors import MissingFileError, SemenetError, WrongTypeError


class ImageError(SemenetError):
    """An image cannot be used. The message states the rule, the file, what was received and the remedy."""


class MissingImageError(ImageError, MissingFileError):
    """An image file does not exist."""


class ImageTypeError(ImageError, WrongTypeError):
    """An image was given as something other than a path or encoded bytes."""


class PixelRangeWarning(UserWarning):
    """Pixel values that do not span [0, 255], for example because they were rescaled to [0, 1]."""


class ImageHeaderWarning(PixelRangeWarning):
    """A header that contradicts its image, or that was used otherwise than it stands in the file."""


def missing_image(name: str) -> MissingImageError:
    """Returns the error for an image file that does not exist.

    Args:
        name: the file's name in the message.
    """
    return MissingImageError(f"An image must exist. Received: {name}, which does not exist. Check the path.")


def damaged_image(name: str, problem: str) -> ImageError:
    """Returns the error for a truncated or damaged image file.

    Args:
        name: the file's name in the message.
        problem: what is wrong, which follows "Received: <name>, " in the message.
    """
    return ImageError(
        f"An image file must be complete and undamaged. Received: {name}, {problem}. "
        "Download or save the file again."
    )
