"""Holds the architecture: data flows one way through the rooms, and every module has one subject."""

import ast
import configparser
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "semenet"
ROOMS = ["data", "models", "metrics", "training", "evaluation", "serving"]
DUMPING_GROUNDS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared", "base", "core"}


def modules():
    return [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def room_of(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return name if name in ROOMS else None


def imported_rooms(source):
    """The rooms a source imports from, at its top or inside a function."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "semenet" and len(part) > 1 and part[1] in ROOMS}


def wrong_way(room, source):
    """The rooms that a source of `room` must not import from, but does."""
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - ({"data"} if room == "models" else set())
    return imported_rooms(source) - allowed


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_rooms_to_its_left(path):
    room = room_of(path)
    if room is None:
        assert path.parent == PACKAGE
        serving_all = {"__main__", "cli", "doctor", "errors"}
        assert path.stem in serving_all or path.stem.startswith("cli_"), "what is no room serves them all"
        return
    assert wrong_way(room, path.read_text()) == set()


def test_the_rule_sees_what_it_forbids():
    assert wrong_way("data", "from semenet.models import catalog") == {"models"}
    assert wrong_way("models", "def f():\n    import semenet.data.images") == {"data"}
    assert wrong_way("training", "from semenet import evaluation") == {"evaluation"}
    assert wrong_way("serving", "from semenet.data.images import read_image") == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_a_dumping_ground(path):
    tree = ast.parse(path.read_text())
    assert path.stem not in DUMPING_GROUNDS
    assert len(path.read_text().splitlines()) <= 400
    assert ast.get_docstring(tree), "a module says what its one subject is"
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(public) <= 16
    assert all(ast.get_docstring(node) for node in public)


def test_every_package_is_installed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent for path in PACKAGE.rglob("__init__.py")}
    present = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert listed == present | {"semenet.recipes"}


def test_import_is_quick_and_loads_neither_tensorflow_nor_matplotlib():
    script = (
        "import sys, time; began = time.perf_counter(); import semenet\n"
        "seconds = time.perf_counter() - began\n"
        "assert semenet.list_models('seme_*') == ['seme_resnet50', 'seme_densenet169']\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'torch', 'matplotlib', 'cv2', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(seconds)"
    )
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True) for _ in range(3)]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr
    assert min(float(run.stdout) for run in runs) < 0.5


@pytest.mark.slow
def test_an_installed_wheel_has_recipes_and_report_template(tmp_path):
    """What `semenet train` and `semenet evaluate` need lies in the wheel, not only in the checkout."""
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
        "assert (importlib.resources.files('semenet.evaluation') / 'templates' / 'report.html.j2').is_file()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
