"""A time limit for reading one file among many."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from semenet.data.images.errors import ImageError

# The largest radiographs take two seconds.
SECONDS = 60.0
Result = TypeVar("Result")


def within_time(read: Callable[[], Result], name: str, seconds: float = SECONDS) -> Result:
    """Calls a function that reads a file, and goes on without it when it takes too long.

    Readers refuse what they would decode for long by its header. This limit is for what is left: a decoder in
    C cannot be stopped, so that its thread is left behind, and ends with the process.

    Args:
        read: the function.
        name: the file's name in the error message.
        seconds: the longest time to wait.

    Returns:
        What the function returns.

    Raises:
        ImageError: the function has not returned in time.
        Exception: what the function raises.
    """
    done: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

    def call() -> None:
        try:
            done.put((read(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=call, name=f"read {name}", daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise ImageError(
            f"An image must be read within {seconds:g} s. Received: {name}, which takes longer. Check the "
            "file's origin, and leave it out or save it again."
        ) from None
    if error is not None:
        raise error
    return result
