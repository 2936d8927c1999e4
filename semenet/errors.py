"""The errors that semenet raises for wrong input, as opposed to defects of its own."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Returns a question that names the nearest of some words, with a space in front; "" if none is near.

    Example:
        >>> from semenet.errors import did_you_mean
        >>> did_you_mean("seme_resnet5", ["vgg19", "seme_resnet50"])
        ' Did you mean seme_resnet50?'
    """
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""


class SemenetError(ValueError):
    """Input that cannot be used. The message states the rule, what was received, and the remedy.

    Every error that semenet raises on purpose is a `SemenetError`. The command line prints its message
    without a traceback.

    Example:
        >>> import semenet
        >>> try:
        ...     semenet.build("resnet5")
        ... except semenet.SemenetError as error:
        ...     print(type(error).__name__)
        SemenetError
    """


class MissingFileError(SemenetError, FileNotFoundError):
    """A file or folder that does not exist."""


class WrongTypeError(SemenetError, TypeError):
    """An argument of a type that cannot be used."""
