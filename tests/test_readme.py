"""What the README shows works when pasted."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from golden_export import golden_cascade

from semenet.cli.main import main

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


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
def test_the_commands_run_in_order_on_a_kermany_folder(tmp_path, monkeypatch, capsys):
    """From the downloaded folder; trainings and phantoms are cut down by options of the same commands."""
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
    image = path.read_bytes()
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "runs").mkdir()
    (tmp_path / "chest_xray").rename(tmp_path / "clone" / "runs" / "chest_xray")
    folder = tmp_path / "clone"
    cut = "--input-size 32 --width 0.125 --depth 0.01 --epochs 1 --batch-size 8"
    for line in "".join(blocks("bash")).strip().splitlines():
        command = shlex.split(line, comments=True)
        if command[0] == "mkdir":
            # mkdir -p NAME && cd NAME
            folder = folder / command[-1]
            monkeypatch.chdir(folder)
            (folder / "radiograph.jpeg").write_bytes(image)
            continue
        assert command[0] == "semenet", f"{line}: only semenet itself works in any folder"
        if command[1] == "train":
            command += cut.split()
        if command[1] == "phantom":
            command += ["--count", "120"]
        if "--tf-serving" in command:
            # The published cascade was exported before: here other files are written beside its graph.
            shutil.rmtree(folder / "cascade")
            golden_cascade(tmp_path).save(folder / "cascade")
        try:
            main(command[1:])
        except SystemExit as status:
            pytest.fail(f"{line}: exit status {status.code}: {capsys.readouterr().err}")
        output = capsys.readouterr().out
        if "data contains" in line:
            assert output.startswith(("yes", "no"))
    for made in ("evaluation/metrics.json", "evaluation/report.html", "predictions.csv"):
        assert (folder / made).is_file()
    assert (folder / "savedmodel" / "saved_model.pb").is_file()
    assert list((folder / "maps").glob("*overlay*.png"))
    # The clone around that folder stays clean.
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_commands_write_into_a_folder_that_git_ignores():
    first = blocks("bash")[0].splitlines()[0]
    made, entered = re.fullmatch(r"mkdir -p (\w+) && cd (\w+)", first).groups()
    assert made == entered
    assert f"{made}/" in (ROOT / ".gitignore").read_text().splitlines()
    for line in "".join(blocks("bash")).strip().splitlines()[1:]:
        words = shlex.split(line, comments=True)
        assert not any(word.startswith(("/", "..")) for word in words), line


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
