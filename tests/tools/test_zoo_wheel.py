"""The wheel of all weights: built by tools/zoo/build_wheel.py, installed by pip, found by its entry point."""

import importlib.metadata
import subprocess
import sys
import zipfile

import pytest
from published_set import read_metadata, write_metadata, write_plain_set

import semenet
from semenet.errors import SemenetError
from semenet.models.weights.described_set import verify_files
from semenet.models.weights.published import published_sets


@pytest.fixture
def zoo(tmp_path):
    """A zoo with two sets of weights, and a set that has only metrics."""
    for entry, name in (("unet", "first"), ("vgg19_gap", "second"), ("vgg19_gap", "metrics")):
        folder = write_plain_set(tmp_path / "zoo", entry, name)
    write_metadata(folder, read_metadata(folder) | {"weights": None, "files": {}})
    (folder.parents[1] / "unet" / "first" / "notes.txt").write_text("not listed")
    return tmp_path / "zoo"


def test_pip_installs_the_wheel_and_semenet_finds_its_weights(zoo, tmp_path, monkeypatch, tool):
    wheel = tool("zoo/build_wheel").build_wheel(zoo, tmp_path / "dist")
    assert wheel.name == f"semenet_zoo-{semenet.__version__}-py3-none-any.whl"
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--target", site, wheel], check=True)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("SEMENET_ZOO", raising=False)
    for entry, name in (("unet", "first"), ("vgg19_gap", "second")):
        found = published_sets(entry)[name]
        assert found.origin == "the package semenet-zoo"
        verify_files(found)
        assert {path.name for path in found.folder.iterdir()} == {"metadata.json", "card.md", *found.files}
    assert "metrics" not in published_sets("vgg19_gap")
    (distribution,) = importlib.metadata.distributions(path=[str(site)])
    assert (distribution.name, distribution.version) == ("semenet-zoo", semenet.__version__)
    assert distribution.metadata["License"] == "CC BY 4.0"
    # pip has verified that RECORD lists every file.
    assert distribution.requires is None


def test_equal_weights_give_an_equal_wheel(zoo, tmp_path, tool):
    build = tool("zoo/build_wheel").build_wheel
    first = build(zoo, tmp_path / "a").read_bytes()
    (zoo / "unet" / "first" / "card.md").touch()
    assert build(zoo, tmp_path / "b").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a" / f"semenet_zoo-{semenet.__version__}-py3-none-any.whl") as wheel:
        assert wheel.testzip() is None


def test_a_broken_set_is_not_packed(zoo, tmp_path, tool):
    build = tool("zoo/build_wheel").build_wheel
    (zoo / "unet" / "first" / "golden.npz").write_bytes(b"other")
    with pytest.raises(SemenetError, match="must have the hash"):
        build(zoo, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
    with pytest.raises(SemenetError, match=r"must hold weights.*Received: .*empty"):
        build(tmp_path / "empty", tmp_path / "dist")
