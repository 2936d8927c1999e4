"""What an installation holds: of the checkout in editable mode, and of a wheel."""

import configparser
import os
import pathlib
import subprocess
import sys

import pytest

import semenet

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "semenet"


def test_every_package_is_installed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent for path in PACKAGE.rglob("__init__.py")}
    present = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert listed == present | {"semenet.recipes", "semenet.zoo"}


def test_the_citation_names_this_version():
    assert f"\nversion: {semenet.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_a_script_beside_the_clone_finds_the_package(tmp_path):
    """A folder semenet in the current folder, such as the clone itself, must not shadow the installation."""
    (tmp_path / "semenet").symlink_to(ROOT)
    script = (
        "import semenet; from semenet.training.recipe import list_recipes\n"
        "print(semenet.build.__name__, len(list_recipes()))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["build", str(len(list((ROOT / "recipes").glob("[!_]*.py"))))]


@pytest.mark.slow
def test_an_installed_wheel_has_recipes_templates_and_the_lung_weights(tmp_path):
    """What `semenet train`, `evaluate` and `masks` need lies in the wheel, not only in the checkout."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("semenet-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    script = (
        "import semenet, importlib.resources\n"
        "from semenet.training.recipe import find_recipe, list_recipes\n"
        f"assert semenet.__file__.startswith({str(site)!r}), semenet.__file__\n"
        f"assert len(list_recipes()) == {len(list((ROOT / 'recipes').glob('[a-z]*.py')))}\n"
        "assert find_recipe('unet').entry == 'unet'\n"
        "drawing = importlib.resources.files('semenet.evaluation.drawing')\n"
        "assert (drawing / 'templates' / 'report.html.j2').is_file()\n"
        "root = importlib.resources.files('semenet')\n"
        "assert (root / 'py.typed').is_file() and (root / '__init__.pyi').is_file()\n"
        "assert semenet.metrics.accuracy\n"
        "from semenet.models.weights import described_sets, published_sets, verify_files\n"
        "lungs = published_sets('unet')['lung']\n"
        "assert lungs.origin == 'the package semenet'\n"
        "verify_files(lungs)\n"
        "assert described_sets('seme_resnet50')['dataset1'].origin is None\n"
        "assert 'dataset1' not in published_sets('seme_resnet50')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
