"""Checks of the arguments that phantoms are drawn from."""

import numbers
from collections.abc import Sequence

from semenet.errors import SemenetError

LETTERS = {"normal": "N", "bacteria": "B", "virus": "V", "other_viral": "O", "COVID-19": "C"}
MIN_SIZE, MAX_SIZE = 64, 1024


class PhantomError(SemenetError):
    """An argument or a folder that cannot be used to make phantoms."""


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Checks that classes are known labels, each given once.

    Args:
        classes: labels among the keys of `LETTERS`.

    Returns:
        The labels as a tuple.

    Raises:
        PhantomError: there is no label, or a label is unknown or repeated.
    """
    if isinstance(classes, str) or len(classes) == 0 or len(set(classes)) < len(classes):
        raise PhantomError(
            f"`classes` must be a list of one or more different labels. Received: {classes!r}. "
            f"Choose among {', '.join(LETTERS)}."
        )
    unknown = [label for label in classes if label not in LETTERS]
    if unknown:
        raise PhantomError(
            f"A phantom's class must be one of {', '.join(LETTERS)}. "
            f"Received: {', '.join(map(repr, unknown))}. Choose among them."
        )
    return tuple(classes)


def check_size(size: int) -> None:
    """Checks the side of an image.

    Args:
        size: side in pixels, 64 to 1024.

    Raises:
        PhantomError: it is no integer or outside the range.
    """
    if not isinstance(size, numbers.Integral) or not MIN_SIZE <= size <= MAX_SIZE:
        raise PhantomError(
            f"A phantom's side must be an integer from {MIN_SIZE} to {MAX_SIZE} pixels. "
            f"Received: {size!r}. Choose a size in that range."
        )


def check_seed(seed: int) -> None:
    """Checks a seed.

    Args:
        seed: non-negative integer.

    Raises:
        PhantomError: it is no integer or negative.
    """
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise PhantomError(
            f"A seed must be an integer of 0 or more. Received: {seed!r}. Choose one such as 0."
        )
