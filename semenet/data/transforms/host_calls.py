"""Calls from TensorFlow's threads into Python, none of which may be under way when the interpreter ends.

A dataset that somebody stopped reading, because of an error or a `break`, still fills its buffers. A
thread of it that asks for Python once the interpreter is going down ends the process by SIGABRT, or hangs
it for good.
"""

import atexit
import functools
import threading
import time

_QUIET_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0

_lock = threading.Lock()
_closing = threading.Event()
_begun = 0
_under_way = 0


def host_call(function):
    """Wraps a function for `tf.numpy_function`, so that the interpreter waits for its calls when it ends.

    Args:
        function: what TensorFlow is to call.

    Returns:
        A function that does the same; once the interpreter is about to end it raises RuntimeError.
    """

    @functools.wraps(function)
    def call(*arguments):
        global _begun, _under_way
        if _closing.is_set():
            raise RuntimeError("The interpreter is ending: nothing more is computed.")
        with _lock:
            _begun += 1
            _under_way += 1
        try:
            return function(*arguments)
        finally:
            with _lock:
                _under_way -= 1

    return call


@atexit.register
def wait_for_calls():
    """Refuses new calls and waits until none is under way: buffers that nobody empties are soon full."""
    if not _begun:
        return
    _closing.set()
    began = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_SECONDS and time.monotonic() - began < _PATIENCE_SECONDS:
        time.sleep(_QUIET_SECONDS / 10)
        with _lock:
            if _under_way:
                quiet_since = time.monotonic()
