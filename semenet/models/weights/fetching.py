"""Fetches published weights from a URL into a cache, and verifies the hash of every file before its use.

pooch downloads each file. This module adds what pooch does not have:

- The hash of each metadata.json comes with the package, and each metadata.json lists the hashes of its files.
  A set of several files is fetched completely or not at all.
- Limits on the size and the total time of a download. The timeouts of requests apply to a single read, so
  that a server which sends one byte now and then would otherwise never be given up.
"""

import contextlib
import os
import shutil
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from semenet.models.weights.errors import FetchError
from semenet.models.weights.metadata_schema import INDEX_SCHEMA, METADATA_SCHEMA
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import JsonError, read_json

URL = "SEMENET_ZOO_URL"
INDEX = Path(__file__).with_name("zoo_index.json")
_METADATA_BYTES = 4 * 2**20
# A file may take _SECONDS, and longer if it is large: as long as a line of _LEAST_RATE bytes per second.
_SECONDS = 60
_LEAST_RATE = 50_000
_SECONDS_PER_READ = 30
_CHUNK = 2**16


def read_index() -> dict[str, str]:
    """Returns a dict of `<entry>/<name>` to the SHA-256 of the metadata.json that this version expects."""
    return read_json(INDEX, INDEX_SCHEMA)


def cache_folder() -> Path:
    """Returns the folder for fetched weights, in the cache of the user (`XDG_CACHE_HOME`)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "semenet" / "zoo"


def cached(entry_name: str) -> list[Path]:
    """Lists the paths of each metadata.json of an entry's weights that this version fetched before."""
    paths = [
        _cache_place(key, digest) / key.split("/")[1] / "metadata.json"
        for key, digest in read_index().items()
    ]
    return [path for path in paths if path.parts[-3] == entry_name and path.is_file()]


def offered(entry_name: str) -> list[str]:
    """Lists the names of an entry's weights that `SEMENET_ZOO_URL` should have; none if it is not set."""
    if not os.environ.get(URL):
        return []
    return [key.split("/")[1] for key in read_index() if key.split("/")[0] == entry_name]


def fetch(entry_name: str, name: str, report: Callable[[str], None] = lambda message: None) -> Path:
    """Fetches one set of weights, completely or not at all.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights, one of `offered`.
        report: function that is called with a message before each file of weights is downloaded.

    Returns:
        Path of its metadata.json in the cache.

    Raises:
        FetchError: the URL is not an http or https address, cannot be reached, takes too long, or returns
            other bytes than were published.
    """
    key = f"{entry_name}/{name}"
    digest = read_index()[key]
    base = os.environ[URL].rstrip("/")
    if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
        raise FetchError(
            f"{URL} must be the http or https address of a copy of the folder `zoo`. Received: {base!r}. "
            "For a folder on this machine use SEMENET_ZOO."
        )
    place = _cache_place(key, digest)
    place.mkdir(parents=True, exist_ok=True)
    # The set is fetched into a temporary folder and then moved, so that nobody loads an incomplete set.
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=place))
    try:
        metadata = temporary / "metadata.json"
        _download(f"{base}/{key}/metadata.json", metadata, _METADATA_BYTES, digest)
        for file_name, file in _listed_files(metadata, f"{base}/{key}/metadata.json").items():
            report(f"Fetching {base}/{key}/{file_name}, {file['bytes'] / 1e6:.1f} MB")
            _download(f"{base}/{key}/{file_name}", temporary / file_name, file["bytes"], file["sha256"])
        target = place / name
        if not target.exists():
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target / "metadata.json"


def _listed_files(metadata: Path, url: str) -> dict[str, dict[str, Any]]:
    """Returns the files that a fetched metadata.json lists, each with its `sha256` and its `bytes`."""
    try:
        return read_json(metadata, METADATA_SCHEMA)["files"]
    except JsonError as error:
        raise FetchError(
            f"A fetched metadata.json must describe a set of weights. Received: {url}: {error}. "
            f"Set {URL} to a copy of the zoo of this version."
        ) from error


def _cache_place(key: str, digest: str) -> Path:
    """Returns the folder for one hash of a metadata.json: weights of another version have another folder."""
    return cache_folder() / digest[:12] / key.split("/")[0]


def _download(url: str, path: Path, max_bytes: int, sha256: str) -> None:
    # Importing pooch takes a third of a second, which listing the weights does not need.
    import pooch

    limits = _Limits(max_bytes, _SECONDS + max_bytes / _LEAST_RATE)
    downloader = pooch.HTTPDownloader(
        progressbar=limits,
        chunk_size=_CHUNK,
        timeout=_SECONDS_PER_READ,
        hooks={"response": limits.start_clock},
    )
    try:
        with limits.enforced():
            _run_in_time(lambda: downloader(url, str(path), pooch=None), limits.seconds + _SECONDS_PER_READ)
    except (OSError, ValueError) as error:
        raise FetchError(
            f"Published weights are fetched from {URL}. Received: {url}: {error}. Check the address and the "
            "network, or set SEMENET_ZOO to a folder on this machine."
        ) from error
    digest = file_sha256(path)
    if digest != sha256:
        raise FetchError(
            f"A fetched file must have the hash it was published with. Received: {url}, "
            f"{path.stat().st_size} bytes with sha256 {digest}, expected {sha256}. Set {URL} to a copy of "
            "the zoo of this version."
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
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self.total = 0
        self._max_bytes, self.seconds = max_bytes, seconds
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

    def reset(self) -> None:
        """Sets the count to 0, after which pooch adds the whole size."""
        self._received = 0

    def close(self) -> None:
        """Ends the progress bar, which shows nothing here."""
