"""The calls that run in threads, which Python cannot stop: how long the oldest of them has run."""

import functools
import itertools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class RunningCalls:
    """Measures the calls of the functions that it wraps, in any thread."""

    def __init__(self) -> None:
        self._starts: dict[int, float] = {}
        self._numbers = itertools.count()

    def timed(self, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """Returns a function whose calls are measured."""

        @functools.wraps(function)
        def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            number = next(self._numbers)
            self._starts[number] = time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                del self._starts[number]

        return call

    def longest(self) -> float:
        """Returns for how many seconds the oldest call has run; 0 if none runs."""
        # A copy, made in one step: other threads add and remove calls.
        starts = list(self._starts.values())
        return time.monotonic() - min(starts) if starts else 0.0
