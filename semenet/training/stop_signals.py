"""Ctrl-C and SIGTERM during training: a checkpoint is saved before the process ends."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_NOTICE = "\nsemenet: stopping after this step, to save a checkpoint. A second signal stops at once.\n"


class TrainingStopped(KeyboardInterrupt):
    """A training that was stopped by a signal, after a checkpoint.

    Attributes:
        exit_status: the usual exit status of the process: 130 for Ctrl-C (SIGINT), 143 for SIGTERM.

    Example:
        >>> import signal
        >>> from semenet.training.stop_signals import TrainingStopped
        >>> TrainingStopped("stopped", signal.SIGTERM).exit_status
        143
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class StopRequest:
    """Whether a signal has asked a training to stop.

    Attributes:
        number: the number of the signal; None as long as there was none.
    """

    number: int | None = None

    def raise_after(self, message: str) -> None:
        """Raises TrainingStopped if a signal has come that stopped nothing, such as in the last step."""
        if self.number is not None:
            raise TrainingStopped(message, self.number)


@contextlib.contextmanager
def noted_signals() -> Iterator[StopRequest]:
    """Notes the first SIGINT or SIGTERM instead of ending the process; the second one acts as usual.

    Signals that the process ignores, as after `nohup`, stay ignored. Outside the main thread, where Python
    cannot handle signals, nothing is noted.

    Yields:
        The request, to be looked at after each step.
    """
    request = StopRequest()
    usual = {}

    def note(number: int, frame: FrameType | None) -> None:
        if request.number is not None:
            signal.signal(number, usual[number])
            signal.raise_signal(number)
            return
        request.number = number
        # Not print: a signal may interrupt a print.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _NOTICE.encode())

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            # None: a handler that is not Python's, which could not be put back.
            if handler not in (signal.SIG_IGN, None):
                usual[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
