import sys

import pytest
from published_set import write_index, write_plain_set

from semenet.models.weights import fetching
from semenet.models.weights.errors import FetchError, HubError
from semenet.models.weights.transfer.hub_source import HubAddress
from semenet.models.weights.transfer.obtaining import get_set, verify_set

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")

from hub_stand_in import running_hub


def content(zoo):
    return {path.relative_to(zoo).as_posix(): path.read_bytes() for path in zoo.rglob("*") if path.is_file()}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with the repository org/zoo, whose set vgg19_gap:far this version expects."""
    zoo = tmp_path / "zoo"
    folder = write_plain_set(zoo, "vgg19_gap", "far")
    monkeypatch.setattr(fetching, "INDEX", write_index(tmp_path / "index.json", folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEMENET_ZOO", raising=False)
    with running_hub(monkeypatch) as hub:
        hub.whole = content(zoo)
        hub.first = hub.commit("org/zoo", hub.whole)
        yield hub


@pytest.mark.parametrize("revision", ["", "@main", "@v1", "@{first}"])
def test_a_set_is_fetched_from_a_repository(hub, monkeypatch, revision):
    hub.names["org/zoo"]["v1"] = hub.first
    monkeypatch.setenv("SEMENET_ZOO_URL", "hf://org/zoo" + revision.format(first=hub.first))
    published = get_set("vgg19_gap", "far")
    for name in ("a.weights.h5", "golden.npz", "metadata.json"):
        assert (published.folder / name).read_bytes() == hub.whole[f"vgg19_gap/far/{name}"]
    assert sorted(path.name for path in published.folder.iterdir()) == [
        *("a.weights.h5", "golden.npz", "metadata.json")
    ]
    monkeypatch.delenv("SEMENET_ZOO_URL")
    assert "as published" in verify_set(get_set("vgg19_gap", "far"))


def test_a_pinned_revision_is_independent_of_later_commits(hub, monkeypatch, capsys):
    hub.names["org/zoo"]["v1"] = hub.first
    hub.commit("org/zoo", hub.whole | {"vgg19_gap/far/a.weights.h5": b"another version"})
    monkeypatch.setenv("SEMENET_ZOO_URL", "hf://org/zoo")
    with pytest.raises(FetchError, match=r"hash it was published with.*far/a\.weights\.h5"):
        get_set("vgg19_gap", "far")
    assert fetching.cached("vgg19_gap") == []
    monkeypatch.setenv("SEMENET_ZOO_URL", "hf://org/zoo@v1")
    capsys.readouterr()
    get_set("vgg19_gap", "far")
    assert f"Fetching vgg19_gap:far from hf://org/zoo@{hub.first}" in capsys.readouterr().err
    assert all(hub.first in request or "/revision/" in request for request in hub.requests[-6:])


def test_a_file_that_is_too_large_is_not_fetched_to_its_end(hub, monkeypatch):
    hub.commit("org/zoo", hub.whole | {"vgg19_gap/far/a.weights.h5": b"0" * 2**20})
    monkeypatch.setenv("SEMENET_ZOO_URL", "hf://org/zoo")
    with pytest.raises(FetchError, match=r"far/a\.weights\.h5: more than the \d+ bytes"):
        get_set("vgg19_gap", "far")
    assert [path for path in fetching.cache_folder().rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("hf://org", HubError, "must be hf://OWNER/REPO.*Received: 'hf://org'"),
        ("hf://org/zoo@", HubError, "hf://OWNER/REPO@REVISION"),
        ("hf://org/none", FetchError, "must have the repository.*Received: hf://org/none"),
        ("hf://org/zoo@v9", FetchError, "must have the repository.*Received: hf://org/zoo@v9"),
    ],
)
def test_a_wrong_address_is_named(hub, monkeypatch, address, kind, message):
    monkeypatch.setenv("SEMENET_ZOO_URL", address)
    with pytest.raises(kind, match=message):
        get_set("vgg19_gap", "far")


def test_the_extra_is_named_if_it_is_missing(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setenv("SEMENET_ZOO_URL", "hf://org/zoo")
    with pytest.raises(HubError, match=r"pip install 'semenet\[hub\]'"):
        get_set("vgg19_gap", "far")


def test_an_address_is_written_as_it_is_read():
    for text in ("hf://a/b", "hf://a-b/c.d@v1.0", "hf://a/b@refs/pr/1"):
        assert str(HubAddress.parse(text)) == text
