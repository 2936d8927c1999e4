"""What the README shows works when pasted."""

import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SEMENET = pathlib.Path(sys.executable).parent / "semenet"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_quickstart_runs_where_make_demo_left_its_run(classifier_run, phantoms, tmp_path):
    (quickstart,) = blocks("python")
    assert len([line for line in quickstart.splitlines() if line]) == 4
    (tmp_path / "demo" / "phantoms").mkdir(parents=True)
    (tmp_path / "demo" / "run").symlink_to(classifier_run)
    (tmp_path / "demo" / "phantoms" / "images").symlink_to(phantoms.parent / "images")
    result = subprocess.run(
        [sys.executable, "-c", quickstart], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "('normal', 'bacteria', 'virus')" in result.stdout
    assert "predicted" in result.stdout


@pytest.mark.slow
def test_the_commands_run_in_order_on_a_kermany_folder(tmp_path):
    """From the folder as it is downloaded; the training is cut down by options, not by another command."""
    import cv2

    rng = np.random.default_rng(0)
    for split, people in {"train": range(12), "test": range(20, 24)}.items():
        for person in people:
            for name in (
                f"NORMAL/IM-{person:04}-0001.jpeg",
                f"PNEUMONIA/person{person}_bacteria_1.jpeg",
                f"PNEUMONIA/person{person}_virus_1.jpeg",
            ):
                path = tmp_path / "chest_xray" / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), rng.integers(0, 256, (50, 60), "uint8"))
    cut = "--input-size 32 --width 0.125 --depth 0.01 --epochs 1 --batch-size 8"
    (tmp_path / "radiograph.jpeg").write_bytes(path.read_bytes())
    for line in "".join(blocks("bash")).strip().splitlines():
        command = shlex.split(line, comments=True)
        if command[0] == "python":
            command = [sys.executable, str(ROOT / command[1]), *command[2:], *cut.split()]
        else:
            command[0] = str(SEMENET)
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, (line, result.stderr)
        if "data contains" in line:
            assert result.stdout.startswith(("yes", "no"))
    for made in ("evaluation/metrics.json", "evaluation/report.html", "predictions.csv"):
        assert (tmp_path / made).is_file()
    assert (tmp_path / "savedmodel" / "saved_model.pb").is_file()
    assert list((tmp_path / "maps").glob("*overlay*.png"))


def test_the_table_is_the_catalogue():
    from semenet.models.entries import CATALOG

    rows = re.findall(r"^\| `(\w+)` \|.*?\| (\d+) \| ([\d,]+) \|", README, re.MULTILINE)
    assert [(name, int(size), int(count.replace(",", ""))) for name, size, count in rows] == [
        (name, entry.input_size, entry.parameters) for name, entry in CATALOG.items()
    ]


def test_the_table_of_weights_is_the_zoo(tool):
    table = tool("zoo/readme_table")
    path = ROOT / "README.md"
    assert table.with_table(README, ROOT / "zoo", path) == README, "run python tools/zoo/readme_table.py"
    assert "| other hospitals |" in README


@pytest.mark.parametrize("target", ["demo", "test", "test-fast", "lint", "lowest", "help"])
def test_the_make_targets_it_names_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
