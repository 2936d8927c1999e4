import json
import shutil

import pytest
from published_set import write_index, write_plain_set

from semenet.models.weights import fetching, places
from semenet.models.weights.errors import MissingWeightsError, WeightsError
from semenet.models.weights.published import (
    described_sets,
    published_names,
    published_sets,
    require_published,
)


@pytest.fixture
def empty_package(tmp_path, monkeypatch):
    """The folder of an installed semenet that holds no weights, and knows none."""
    package = tmp_path / "site" / "semenet"
    (package / "zoo").mkdir(parents=True)
    index = tmp_path / "index.json"
    index.write_text("{}")
    monkeypatch.setattr(places, "_PACKAGE", package)
    monkeypatch.setattr(fetching, "INDEX", index)
    monkeypatch.delenv("SEMENET_ZOO", raising=False)
    monkeypatch.delenv("SEMENET_ZOO_URL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return package


def install_zoo(site):
    """Installs a wheel with weights into a folder, as pip does; returns the folder of its package."""
    package = site / "semenet_zoo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError")  # it is not imported
    information = site / "semenet_zoo-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: semenet-zoo\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[semenet.zoo]\nsemenet-zoo = semenet_zoo\n")
    return package


def origins(entry):
    return {name: published.origin for name, published in published_sets(entry).items()}


def test_an_installed_wheel_is_found_by_its_entry_point(empty_package, tmp_path, monkeypatch):
    assert origins("vgg19_gap") == {}
    package = install_zoo(tmp_path / "extra")
    write_plain_set(package, "vgg19_gap", "far")
    monkeypatch.syspath_prepend(tmp_path / "extra")
    assert origins("vgg19_gap") == {"far": "the package semenet-zoo"}
    write_plain_set(tmp_path / "own", "vgg19_gap", "far")
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "own"))
    assert origins("vgg19_gap") == {"far": "SEMENET_ZOO"}


def test_an_incomplete_wheel_is_named(empty_package, tmp_path, monkeypatch):
    shutil.rmtree(install_zoo(tmp_path / "broken"))
    monkeypatch.syspath_prepend(tmp_path / "broken")
    with pytest.raises(WeightsError, match="semenet-zoo, without .*semenet_zoo.*pip uninstall semenet-zoo"):
        published_names("vgg19_gap")


def test_a_description_in_the_package_is_no_set(empty_package, tmp_path, monkeypatch):
    """The installed package describes all sets, but holds the weights of only one."""
    folder = write_plain_set(empty_package / "zoo", "vgg19_gap", "far")
    write_index(tmp_path / "index.json", folder)
    assert published_names("vgg19_gap") == ["far"]
    whole = shutil.copytree(folder, tmp_path / "zoo" / "vgg19_gap" / "far")
    (folder / "a.weights.h5").unlink()
    assert published_names("vgg19_gap") == []
    assert described_sets("vgg19_gap")["far"].origin is None
    size = sum(file["bytes"] for file in json.loads((folder / "metadata.json").read_text())["files"].values())
    with pytest.raises(MissingWeightsError) as raised:
        require_published("vgg19_gap", "far")
    for part in (f"({size / 1e6:.1f} MB)", "semenet-zoo", "SEMENET_ZOO to", "SEMENET_ZOO_URL to", "hf://"):
        assert part in str(raised.value)
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "nowhere"))
    with pytest.raises(MissingWeightsError, match="SEMENET_ZOO is set to .*nowhere, which is not a folder"):
        require_published("vgg19_gap", "far")
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "zoo"))
    assert require_published("vgg19_gap", "far").folder == whole


def test_a_misspelt_name_gets_the_nearest(empty_package, tmp_path, monkeypatch):
    write_plain_set(empty_package / "zoo", "unet", "lung")
    with pytest.raises(MissingWeightsError, match="Names of `unet`: lung. Did you mean 'lung'?"):
        require_published("unet", "lungs")
    with pytest.raises(MissingWeightsError, match="Names of `vgg19`: none; `semenet weights list` shows"):
        require_published("vgg19", "lungs")
