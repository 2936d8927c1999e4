"""The errors with which requests are answered, and their HTTP status."""

import itertools

from semenet.errors import SemenetError

# About the time of one batch of a full-size network on a CPU.
RETRY_AFTER_SECONDS = 1
_HEADERS = {503: {"Retry-After": str(RETRY_AFTER_SECONDS)}, 415: {"Accept-Encoding": "identity"}}


class RequestError(SemenetError):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: the rule, what was received, and the remedy.

    Attributes:
        status: int.
        headers: dict of str, headers of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = _HEADERS.get(status, {})


def invalid(message: str) -> RequestError:
    """Returns the error, status 400, of a request that has to be changed."""
    return RequestError(400, message)


def shortened(value: object, length: int = 80) -> str:
    """Returns a value as error messages show it: at most `length` characters, then "...".

    Args:
        value: any JSON value. Lists and objects are described by their size only.
        length: largest number of characters.
    """
    if isinstance(value, dict):
        keys = f" with the keys {list(itertools.islice(value, 5))}" if value else ""
        text = f"an object of {len(value)}{keys}"
    elif isinstance(value, list):
        text = f"a list of {len(value)}"
    else:
        # Cut first: a string may be as long as the whole request.
        text = repr(value[:length] if isinstance(value, str) else value)
    return text if len(text) <= length else f"{text[:length]}..."
