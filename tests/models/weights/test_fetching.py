import functools
import http.server
import json
import threading

import numpy as np
import pytest
from published_set import read_metadata, write_set

import semenet
from semenet.models.weights import fetching
from semenet.models.weights.errors import FetchError
from semenet.models.weights.published import published_names
from semenet.storage.hashing import file_sha256

SMALL = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A zoo behind a real web server, an index that names its set, and an empty cache."""
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
    model, _ = remote
    assert published_names("vgg19_gap") == ["far"]
    assert published_names("unet") == ["lung"] or "far" not in published_names("unet")
    copy = semenet.build("vgg19_gap", weights="far")
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])
    assert "Fetching" in capsys.readouterr().err
    monkeypatch.delenv("SEMENET_ZOO_URL")
    again = semenet.build("vgg19_gap", weights="far")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    assert capsys.readouterr().err == ""


def test_bytes_that_were_not_published_are_refused_and_not_kept(remote):
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


def test_an_address_that_gives_nothing_is_named(remote, monkeypatch):
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
