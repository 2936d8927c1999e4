"""The errors that semenet raises for wrong input, as opposed to defects of its own."""


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
