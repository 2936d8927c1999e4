"""Ends the process at a time, whatever its threads do.

A thread in C code can neither be stopped nor left behind: Python waits for it at the end of the process.
"""

import faulthandler

_STANDARD_ERROR = 2


def end_process_after(seconds: float) -> None:
    """Ends the process with status 1 after some seconds, unless it has ended before.

    What every thread is doing then is written to standard error. The timer is a thread of C code, which
    works even if another thread never gives Python's global lock back.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STANDARD_ERROR)
