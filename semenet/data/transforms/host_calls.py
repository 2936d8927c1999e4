"""Calls from TensorFlow's threads into Python, which must all have ended before the interpreter exits.

A dataset that is no longer read, because of an error or a `break`, still fills its buffers. If one of its
threads calls into Python while the interpreter shuts down, the process aborts with SIGABRT or hangs forever.
"""

import atexit
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

_QUIET_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0

_lock = threading.Lock()
_closing = threading.Event()
_started_calls = 0
_running_calls = 0


def host_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function for `tf.numpy_function`, so that the interpreter waits for its calls before it exits.

    Args:
        function: the function that TensorFlow calls.

    Returns:
        A function that does the same. It raises RuntimeError once the interpreter is about to exit.
    """

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        global _started_calls, _running_calls
        if _closing.is_set():
            raise RuntimeError("The interpreter is exiting: no more batches are computed.")
        with _lock:
            _started_calls += 1
            _running_calls += 1
        try:
            return function(*arguments)
        finally:
            with _lock:
                _running_calls -= 1

    return call


@atexit.register
def wait_for_calls() -> None:
    """Rejects new calls and waits until none is running. Buffers that nobody reads are full soon."""
    if not _started_calls:
        return
    _closing.set()
    start = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_SECONDS and time.monotonic() - start < _PATIENCE_SECONDS:
        time.sleep(_QUIET_SECONDS / 10)
        with _lock:
            if _running_calls:
                quiet_since = time.monotonic()
