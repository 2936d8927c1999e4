"""Fetches published weights into a cache, and verifies the hash of every file before its use.

The hash of each metadata.json comes with the package, and each metadata.json lists the hashes of its files:
wherever the files come from, they are those that this version of semenet was published with. A set of several
files is fetched completely or not at all.
"""

import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from semenet.models.weights.errors import FetchError
from semenet.models.weights.metadata_schema import INDEX_SCHEMA, METADATA_SCHEMA
from semenet.models.weights.places import METADATA
from semenet.models.weights.transfer.http_source import HttpSource
from semenet.models.weights.transfer.hub_source import SCHEME, HubSource
from semenet.progress import show_transfer
from semenet.storage.hashing import file_sha256
from semenet.storage.json_files import JsonError, read_json

URL = "SEMENET_ZOO_URL"
INDEX = Path(__file__).with_name("zoo_index.json")
_METADATA_BYTES = 4 * 2**20


class Source(Protocol):
    """What provides the files of a zoo."""

    address: str

    def download(self, name: str, path: Path, max_bytes: int, advance: Callable[[int], None]) -> None:
        """Downloads one file, as `HttpSource.download`."""


def read_index() -> dict[str, str]:
    """Returns a dict of `<entry>/<name>` to the SHA-256 of the metadata.json that this version expects."""
    return read_json(INDEX, INDEX_SCHEMA)


def cache_folder() -> Path:
    """Returns the folder for fetched weights, in the cache of the user (`XDG_CACHE_HOME`)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "semenet" / "zoo"


def cached(entry_name: str) -> list[Path]:
    """Lists the paths of each metadata.json of an entry's weights that this version fetched before."""
    paths = [_cache_place(key, digest) / key.split("/")[1] / METADATA for key, digest in read_index().items()]
    return [path for path in paths if path.parts[-3] == entry_name and path.is_file()]


def offered(entry_name: str) -> list[str]:
    """Lists the names of an entry's weights that `SEMENET_ZOO_URL` should have; none if it is not set."""
    if not os.environ.get(URL):
        return []
    return [key.split("/")[1] for key in read_index() if key.split("/")[0] == entry_name]


def fetch(entry_name: str, name: str, replace: bool = False) -> Path:
    """Fetches one set of weights, completely or not at all, and shows the progress on standard error.

    Args:
        entry_name: name of the entry in the catalogue.
        name: name of the weights, one of `offered`.
        replace: whether to replace a set of the same version in the cache.

    Returns:
        Path of its metadata.json in the cache.

    Raises:
        FetchError: the address is of another kind, cannot be reached, takes too long, or returns other bytes
            than were published.
        HubError: the address of a Hub repository is wrong, or huggingface-hub is not installed.
    """
    key = f"{entry_name}/{name}"
    digest = read_index()[key]
    source = _open_source(os.environ[URL])
    place = _cache_place(key, digest)
    place.mkdir(parents=True, exist_ok=True)
    # The set is fetched into a temporary folder and then moved, so that nobody loads an incomplete set.
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=place))
    try:
        metadata = temporary / METADATA
        _get(source, f"{key}/{METADATA}", metadata, _METADATA_BYTES, digest)
        files = _listed_files(metadata, f"{source.address}/{key}/{METADATA}")
        with show_transfer(
            f"Fetching {entry_name}:{name} from {source.address}",
            sum(file["bytes"] for file in files.values()),
        ) as advance:
            for file_name, file in files.items():
                path = temporary / file_name
                _get(source, f"{key}/{file_name}", path, file["bytes"], file["sha256"], advance)
        _move(temporary, place / name, replace)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return place / name / METADATA


def _open_source(address: str) -> Source:
    if address.startswith(SCHEME):
        return HubSource(address)
    if urllib.parse.urlsplit(address).scheme in ("http", "https"):
        return HttpSource(address)
    raise FetchError(
        f"{URL} must be the http or https address of a copy of the folder `zoo`, or hf://OWNER/REPO. "
        f"Received: {address!r}. For a folder on this machine use SEMENET_ZOO."
    )


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


def _get(
    source: Source,
    name: str,
    path: Path,
    max_bytes: int,
    sha256: str,
    advance: Callable[[int], None] = lambda size: None,
) -> None:
    """Downloads one file and verifies its hash."""
    try:
        source.download(name, path, max_bytes, advance)
    except FetchError:
        raise
    except (OSError, ValueError) as error:
        raise FetchError(
            f"Published weights are fetched from {URL}. Received: {source.address}/{name}: {error}. Check "
            "the address and the network, or set SEMENET_ZOO to a folder on this machine."
        ) from error
    digest = file_sha256(path)
    if digest != sha256:
        raise FetchError(
            f"A fetched file must have the hash it was published with. Received: {source.address}/{name}, "
            f"{path.stat().st_size} bytes with sha256 {digest}, expected {sha256}. Set {URL} to a copy of "
            "the zoo of this version."
        )


def _move(folder: Path, target: Path, replace: bool) -> None:
    if replace:
        shutil.rmtree(target, ignore_errors=True)
    try:
        os.rename(folder, target)
    except OSError:
        # Another process may have fetched the same set meanwhile: somebody may be reading its files.
        if not target.is_dir():
            raise
