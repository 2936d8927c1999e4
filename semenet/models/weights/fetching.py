"""Fetches published weights from a URL into a cache, and takes no byte that was not published.

The package names the hash of each metadata.json that goes with it, and a metadata.json those of its files.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from semenet.models.weights.errors import FetchError

URL = "SEMENET_ZOO_URL"
INDEX = pathlib.Path(__file__).with_name("zoo_index.json")
_METADATA_BYTES = 4 * 2**20
_SECONDS = 30
_PIECE = 2**20


def index():
    """dict of `<entry>/<name>` to the SHA-256 of the metadata.json that goes with this version."""
    return json.loads(INDEX.read_text(encoding="utf-8"))


def cache_folder():
    """`pathlib.Path` of the folder for fetched weights, in the user's cache (`XDG_CACHE_HOME`)."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "semenet" / "zoo"


def cached(entry_name):
    """Paths of the metadata.json of an entry's weights that this version fetched before."""
    paths = [_place(key, digest) / key.split("/")[1] / "metadata.json" for key, digest in index().items()]
    return [path for path in paths if path.parts[-3] == entry_name and path.is_file()]


def offered(entry_name):
    """Names of the entry's weights that `SEMENET_ZOO_URL`, where it is set, is to have."""
    if not os.environ.get(URL):
        return []
    return [key.split("/")[1] for key in index() if key.split("/")[0] == entry_name]


def fetch(entry_name, name):
    """Fetches one set of weights, whole or not at all.

    Args:
        entry_name: str.
        name: str, one of `offered`.

    Returns:
        `pathlib.Path` of its metadata.json in the cache.

    Raises:
        FetchError: the URL cannot be reached, is no http(s) one, or gives other bytes than were published.
    """
    key = f"{entry_name}/{name}"
    digest = index()[key]
    base = os.environ[URL].rstrip("/")
    if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
        raise FetchError(
            f"{URL} is the http or https address of a copy of the folder `zoo`. Received: {base!r}. "
            "For a folder of this machine use SEMENET_ZOO."
        )
    place = _place(key, digest)
    place.mkdir(parents=True, exist_ok=True)
    # Fetched beside its place and moved, so that nobody loads half of it.
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{name}.", dir=place))
    try:
        metadata = temporary / "metadata.json"
        _download(f"{base}/{key}/metadata.json", metadata, _METADATA_BYTES, digest)
        for file, of in json.loads(metadata.read_text(encoding="utf-8"))["files"].items():
            print(f"Fetching {base}/{key}/{file}, {of['bytes'] / 1e6:.1f} MB", file=sys.stderr)
            _download(f"{base}/{key}/{file}", temporary / file, of["bytes"], of["sha256"])
        target = place / name
        if not target.exists():
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target / "metadata.json"


def _place(key, digest):
    """The folder for what goes with one hash: another version's weights lie elsewhere."""
    return cache_folder() / digest[:12] / key.split("/")[0]


def _download(url, path, at_most, sha256):
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer, open(path, "wb") as file:
            while size <= at_most and (piece := answer.read(_PIECE)):
                size += len(piece)
                digest.update(piece)
                file.write(piece)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise FetchError(
            f"Published weights are fetched from {URL}. Received: {url}: {error}. Check the address and the "
            "network, or give a folder by SEMENET_ZOO."
        ) from error
    if digest.hexdigest() != sha256:
        raise FetchError(
            f"What is fetched must have the hash it was published with. Received: {url}, {size} bytes with "
            f"sha256 {digest.hexdigest()}, expected {sha256}. Point {URL} at a copy of this version's zoo."
        )
