"""The errors that answer a client of the server, with their HTTP status."""

import itertools

from semenet.errors import SemenetError

# One batch of a full-size network on a processor takes about as long.
RETRY_AFTER_SECONDS = 1
_HEADERS = {503: {"Retry-After": str(RETRY_AFTER_SECONDS)}, 415: {"Accept-Encoding": "identity"}}


class RequestError(SemenetError):
    """A request that is not answered with a prediction.

    Args:
        status: int, of HTTP.
        message: str, the rule, what was received, and the remedy.

    Attributes:
        status: int.
        headers: dict of str, the headers of the answer.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.headers = _HEADERS.get(status, {})


def invalid(message):
    """A `RequestError` of a request that will never be right: 400."""
    return RequestError(400, message)


def shown(value, length=80):
    """A value as an error message shows it, cut short.

    Args:
        value: anything that JSON holds.
        length: int, the most characters.

    Returns:
        str; of a list or an object what it is and how long, since its contents may be huge.
    """
    if isinstance(value, (list, dict)):
        kind = "a list" if isinstance(value, list) else "an object"
        keys = (
            f" with the keys {list(itertools.islice(value, 5))}" if isinstance(value, dict) and value else ""
        )
        text = f"{kind} of {len(value)}{keys}"
    else:
        # Cut first: a string may have as many characters as a request has bytes.
        text = repr(value[:length] if isinstance(value, str) else value)
    return text if len(text) <= length else f"{text[:length]}..."
