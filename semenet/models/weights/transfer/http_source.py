"""Fetches files from an http or https address, with limits on their size and on the time they take.

pooch downloads each file. Its timeouts apply to a single read, so that a server which sends one byte now and
then would otherwise never be given up.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# A file may take _SECONDS, and longer if it is large: as long as a line of _LEAST_RATE bytes per second.
_SECONDS = 60
_LEAST_RATE = 50_000
_SECONDS_PER_READ = 30
_CHUNK = 2**16


class HttpSource:
    """A zoo on a web server.

    Args:
        address: http or https address of a copy of the folder `zoo`.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def download(self, name: str, path: Path, max_bytes: int, advance: Callable[[int], None]) -> None:
        """Downloads one file.

        Args:
            name: path of the file in the zoo, such as "unet/lung/metadata.json".
            path: file to write.
            max_bytes: size after which the rest is not read.
            advance: is called with the number of bytes of each piece.

        Raises:
            OSError: the file cannot be fetched in time.
            ValueError: it is too large.
        """
        # Importing pooch takes a third of a second, which listing the weights does not need.
        import pooch

        limits = _Limits(max_bytes, _SECONDS + max_bytes / _LEAST_RATE, advance)
        downloader = pooch.HTTPDownloader(
            progressbar=limits,
            chunk_size=_CHUNK,
            timeout=_SECONDS_PER_READ,
            hooks={"response": limits.start_clock},
        )
        with limits.enforced():
            _run_in_time(
                lambda: downloader(f"{self.address}/{name}", str(path), pooch=None),
                limits.seconds + _SECONDS_PER_READ,
            )


def _run_in_time(function: Callable[[], None], seconds: float) -> None:
    """Runs a function in a thread, and leaves the thread behind if it takes longer.

    `_Limits` can end a connection only when its response has begun: a server may send the header a byte at a
    time.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    # A daemon, so that the process does not wait for it.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no complete answer after {seconds:.0f} seconds")
    if errors:
        raise errors[0]


class _Limits:
    """Limits on the size and the time of one download.

    For pooch it is a progress bar, which is updated after each chunk.

    Args:
        max_bytes: size in bytes after which the rest of the body is not read.
        seconds: time in seconds, from the first byte of the response, after which the connection is closed.
        advance: is called with the size of each chunk.
    """

    def __init__(self, max_bytes: int, seconds: float, advance: Callable[[int], None]) -> None:
        self.total = 0
        self._max_bytes, self.seconds, self._advance = max_bytes, seconds, advance
        self._received = 0
        self._expired = False
        self._response = None
        self._timer = threading.Timer(seconds, self._close_connection)
        self._timer.daemon = True

    def start_clock(self, response: Any, **_: Any) -> None:
        """Starts the time limit, at the header of the first `requests.Response`; redirects are later ones."""
        if self._response is None:
            self._timer.start()
        self._response = response

    def _close_connection(self) -> None:
        self._expired = True
        # A socket can be shut down while another thread reads from it. The body may end at this very moment.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._response.raw.shutdown()

    @contextlib.contextmanager
    def enforced(self) -> Iterator[None]:
        """Ends clock and connection at the end of the block, and raises TimeoutError if time had run out."""
        try:
            yield
        except OSError:
            self._check_time()
            raise
        finally:
            self._timer.cancel()
            if self._response is not None:
                self._response.close()
        self._check_time()

    def _check_time(self) -> None:
        if self._expired:
            raise TimeoutError(f"not complete after {self.seconds:.0f} seconds")

    def update(self, size: int) -> None:
        """Counts a chunk; pooch passes the size of a full chunk also for the last one."""
        self._received += size
        if self._received >= self._max_bytes + _CHUNK:
            raise ValueError(f"more than the {self._max_bytes} bytes that it must have")
        self._advance(size)

    def reset(self) -> None:
        """Sets the count to 0, after which pooch adds the whole size."""
        # From here on nothing is received, and the pieces have been shown.
        self._received, self._advance = 0, lambda size: None

    def close(self) -> None:
        """Ends the progress bar, which shows nothing here."""
