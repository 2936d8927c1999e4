"""Holds the architecture: data flows one way through the rooms, and every module has one subject."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "semenet"
# The rooms from left to right, and within each its sub-packages and single modules, from left to right.
ROOMS = {
    "storage": [],
    "data": ["images", "transforms", "manifest", "pipeline", "checks", "sources", "phantom"],
    "models": [
        "placements",
        "layers",
        "backbones",
        "entries",
        "receptive_fields",
        "cloning",
        "folded_inference",
        "weights",
        "catalog",
        "loading",
    ],
    "metrics": [],
    "training": [
        "options",
        "input_sizes",
        "processor",
        "stop_signals",
        "recipe_rules",
        "recipe",
        "precision",
        "presets",
        "run_folder",
        "devices",
        "distillation",
        "unlearning",
        "losses",
        "loop",
    ],
    "inference": [
        "array_images",
        "reading_ahead",
        "input_gate",
        "lung_plausibility",
        "network_inputs",
        "lung_masks",
        "embedding_columns",
        "embeddings",
        "test_time_augmentation",
        "heat_maps",
        "scoring",
    ],
    "evaluation": [
        "command_lines",
        "measure",
        "drawing",
        "shortcut_audit",
        "probing",
        "explanation",
        "report",
        "findings_evaluation",
        "split_evaluation",
        "hospitals",
        "cross_validation",
    ],
    "serving": [
        "cascade",
        "dicom_results",
        "prediction",
        "dicomweb",
        "cascade_evaluation",
        "image_reports",
        "exports",
        "server",
    ],
    "cli": [
        "progress",
        "tensorflow_import",
        "help",
        "recipe",
        "cross_validation",
        "environment_checks",
        "prediction",
        "doctor",
        "data",
        "evaluation",
        "heat_maps",
        "serving",
        "weights",
        "main",
    ],
}
# Rooms to the left that a room must not import from all the same.
NOT_IMPORTED = {"models": {"data"}, "serving": {"evaluation"}}
SERVE_ALL = {"__main__", "errors", "progress"}
DUMPING_GROUNDS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared", "base", "core"}
MODULES_SIDE_BY_SIDE = 14
LINES = 300
# Files beyond LINES, each with the reason.
LONG_FILES = {}


def modules():
    return [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def imported_modules(source):
    """The parts of each dotted name of semenet that a source imports, at its top or inside a function."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name.split(".")[1:] for name in names if name.split(".")[0] == "semenet"]


def wrong_way(module, source):
    """What a module, such as "data.images.formats.tiff", must not import, but does."""
    room, *inside = module.split(".")
    rooms = list(ROOMS)
    left = set(rooms[: rooms.index(room)]) - NOT_IMPORTED.get(room, set())
    wrong = set()
    for parts in imported_modules(source):
        if not parts or parts[0] not in ROOMS:
            continue
        if parts[0] != room:
            wrong |= set() if parts[0] in left else {parts[0]}
        elif ROOMS[room] and len(parts) > 1 and parts[1] != inside[0]:
            earlier = ROOMS[room][: ROOMS[room].index(inside[0])]
            wrong |= set() if parts[1] in earlier else {f"{room}.{parts[1]}"}
    return wrong


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_left(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if len(parts) == 1:
        assert parts[0] in SERVE_ALL, "a module outside the rooms serves them all"
        return
    assert wrong_way(".".join(parts), path.read_text()) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_the_order_names_every_part_of_a_room(room):
    found = {
        path.stem
        for path in (PACKAGE / room).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert not ROOMS[room] or set(ROOMS[room]) == found - {"__init__"}


def test_the_rule_sees_what_it_forbids():
    assert wrong_way("data.images.formats.tiff", "from semenet.models import catalog") == {"models"}
    assert wrong_way("models.catalog", "def f():\n    import semenet.data.images") == {"data"}
    assert wrong_way("serving.cascade.graph", "from semenet.evaluation import audit") == {"evaluation"}
    assert wrong_way("training.recipe", "from semenet import evaluation") == {"evaluation"}
    assert wrong_way("serving.predict.predict", "from semenet.data.images.reading import read_image") == set()
    assert wrong_way("data.images.formats.tiff", "from semenet.data.pipeline import cache") == {
        "data.pipeline"
    }
    assert wrong_way("data.pipeline.cache", "from semenet.data.images import shards") == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_a_dumping_ground(path):
    tree = ast.parse(path.read_text())
    assert path.stem not in DUMPING_GROUNDS
    assert len(path.read_text().splitlines()) <= LINES or path.relative_to(PACKAGE).as_posix() in LONG_FILES
    assert ast.get_docstring(tree), "a module says what its one subject is"
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(public) <= 16
    assert all(ast.get_docstring(node) for node in public)


def test_no_long_file_is_excused_in_vain():
    for name in LONG_FILES:
        assert len((PACKAGE / name).read_text().splitlines()) > LINES


def test_a_folder_has_few_modules_side_by_side():
    folders = [path.parent for path in PACKAGE.rglob("__init__.py")]
    counts = {str(folder.relative_to(PACKAGE)): len(list(folder.glob("[!_]*"))) for folder in folders}
    assert {name: count for name, count in counts.items() if count > MODULES_SIDE_BY_SIDE} == {}


def test_import_is_quick_and_loads_neither_tensorflow_nor_matplotlib():
    script = (
        "import sys, time; began = time.process_time(); import semenet\n"
        "seconds = time.process_time() - began\n"
        "assert semenet.list_models('seme_*') == ['seme_resnet50', 'seme_densenet169']\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'torch', 'matplotlib', 'cv2', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(seconds)"
    )
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True) for _ in range(3)]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr
    assert min(float(run.stdout) for run in runs) < 0.5


def test_the_tests_mirror_the_rooms():
    """A folder of tests is named after the package that it tests, and a test after its module."""
    tests = ROOT / "tests"
    for room in ROOMS:
        for path in (tests / room).rglob("test_*.py"):
            assert (PACKAGE / path.parent.relative_to(tests)).is_dir(), path.relative_to(ROOT)
