import functools
import http.server
import json
import re
import threading
import time

import numpy as np
import pytest
from published_set import read_metadata, write_set

import semenet
from semenet.models.weights import fetching
from semenet.models.weights.errors import FetchError, WeightsError
from semenet.models.weights.published import published_names
from semenet.models.weights.transfer import http_source
from semenet.models.weights.transfer.obtaining import get_set
from semenet.storage.hashing import file_sha256

SMALL = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A zoo on a web server, an index with its set of weights, and an empty cache."""
    zoo = tmp_path / "remote"
    model = semenet.build("vgg19_gap", classes=("a", "b"), **SMALL)
    folder = write_set(zoo, model, "vgg19_gap", "far", architecture={"width": 0.125, "depth": 0.01})
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"vgg19_gap/far": file_sha256(folder / "metadata.json")}))
    monkeypatch.setattr(fetching, "INDEX", index)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(zoo)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SEMENET_ZOO_URL", f"http://127.0.0.1:{server.server_port}/")
    yield model, folder
    server.shutdown()
    server.server_close()


def test_weights_are_fetched_once_and_found_without_a_network(remote, monkeypatch, capsys):
    model, folder = remote
    assert published_names("vgg19_gap") == ["far"]
    assert published_names("unet") == ["lung"] or "far" not in published_names("unet")
    copy = semenet.build("vgg19_gap", weights="far")
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])
    megabytes = (folder / "a.weights.h5").stat().st_size / 1e6
    progress = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(rf"Fetching vgg19_gap:far from http://[\d.:]+, {megabytes:.1f} MB", progress)
    monkeypatch.delenv("SEMENET_ZOO_URL")
    again = semenet.build("vgg19_gap", weights="far")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    assert capsys.readouterr().err == ""


def test_a_broken_file_in_the_cache_is_fetched_again(remote, monkeypatch):
    model, _ = remote
    published = get_set("vgg19_gap", "far")
    published.path.write_bytes(b"broken")
    with pytest.raises(WeightsError, match="semenet weights get vgg19_gap:far` to fetch it again"):
        semenet.build("vgg19_gap", weights="far")
    assert get_set("vgg19_gap", "far").path.read_bytes() != b"broken"
    copy = semenet.build("vgg19_gap", weights="far")
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])
    published.path.write_bytes(b"broken")
    monkeypatch.delenv("SEMENET_ZOO_URL")
    with pytest.raises(WeightsError, match="must have the hash"):
        get_set("vgg19_gap", "far")


def test_other_bytes_than_were_published_raise_and_are_not_kept(remote):
    _, folder = remote
    file = folder / "a.weights.h5"
    whole = file.read_bytes()
    for other in (whole[:-1], whole + b"1", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(other)
        with pytest.raises(FetchError, match=r"hash it was published with.*a\.weights\.h5"):
            semenet.build("vgg19_gap", weights="far")
    assert fetching.cached("vgg19_gap") == []
    assert [path for path in fetching.cache_folder().rglob("*") if path.is_file()] == []
    file.write_bytes(whole)
    metadata = folder / "metadata.json"
    metadata.write_text(json.dumps(read_metadata(folder) | {"extra": 1}))
    with pytest.raises(FetchError, match=r"hash it was published with.*metadata\.json"):
        semenet.build("vgg19_gap", weights="far")


def test_an_error_shows_the_address_that_cannot_be_fetched(remote, monkeypatch):
    _, folder = remote
    (folder / "metadata.json").unlink()
    with pytest.raises(FetchError, match=r"metadata\.json.*404"):
        semenet.build("vgg19_gap", weights="far")
    monkeypatch.setenv("SEMENET_ZOO_URL", "http://127.0.0.1:9/zoo")
    with pytest.raises(FetchError, match="127.0.0.1:9.*refused"):
        semenet.build("vgg19_gap", weights="far")
    monkeypatch.setenv("SEMENET_ZOO_URL", "file:///etc")
    with pytest.raises(FetchError, match="http or https.*file:///etc.*SEMENET_ZOO"):
        semenet.build("vgg19_gap", weights="far")


class Endless(http.server.BaseHTTPRequestHandler):
    """Answers every request with a body that does not end."""

    piece, pause, stated_bytes = b"0", 0.05, 10**6

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        if self.stated_bytes is not None:
            self.send_header("Content-Length", str(self.stated_bytes))
        self.end_headers()
        try:
            while True:
                self.wfile.write(self.piece)
                time.sleep(self.pause)
        except OSError:
            self.server.gave_up.set()


@pytest.fixture
def endless(remote, monkeypatch):
    """A function that replaces the server of the zoo by one with endless bodies."""
    servers = []

    def start(**behaviour):
        handler = type("Handler", (Endless,), behaviour)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.gave_up = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SEMENET_ZOO_URL", f"http://127.0.0.1:{server.server_port}")
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("stated_bytes", [10**6, None])
def test_a_slow_endless_body_is_ended_at_the_deadline(endless, monkeypatch, stated_bytes):
    """Also without a stated size, where a closed connection looks like the end of the file."""
    server = endless(stated_bytes=stated_bytes)
    monkeypatch.setattr(http_source, "_SECONDS", 0.5)
    monkeypatch.setattr(http_source, "_LEAST_RATE", float("inf"))
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"metadata\.json: not complete after 0 seconds"):
        semenet.build("vgg19_gap", weights="far")
    assert time.monotonic() - began < 10
    assert server.gave_up.wait(10), "the connection is closed"
    assert [path for path in fetching.cache_folder().rglob("*") if path.is_file()] == []


def test_a_fast_endless_body_is_ended_at_its_maximum_size(endless, monkeypatch):
    server = endless(piece=b"0" * 2**16, pause=0, stated_bytes=None)
    monkeypatch.setattr(fetching, "_METADATA_BYTES", 2**18)
    with pytest.raises(FetchError, match=r"metadata\.json: more than the 262144 bytes"):
        semenet.build("vgg19_gap", weights="far")
    assert server.gave_up.wait(10), "the connection is closed"
    assert [path for path in fetching.cache_folder().rglob("*") if path.is_file()] == []
