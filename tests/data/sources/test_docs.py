"""The commands in docs/data.md work when pasted, on folders with the layout that it shows."""

import json
import pathlib
import re
import shlex

import cv2
import numpy as np
import pandas as pd
import pytest
from finding_folders import (
    chexpert_folder,
    hannover_folder,
    nih_folder,
    padchest_folder,
    rsna_folder,
    siim_folder,
    vindr_folder,
)
from source_folders import (
    class_tree,
    covid_folder,
    covidx_folder,
    kermany_folder,
    montgomery_folder,
    shenzhen_folder,
    v7_folder,
)

from semenet.cli.data.finding_sources import FINDING_COMMANDS
from semenet.cli.main import main
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.data.phantom.dataset import write_phantoms
from semenet.data.sources.source_rows import SPLITS

TEXT = (pathlib.Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
SOURCES = (
    "kermany",
    "covid-chestxray",
    "montgomery",
    "shenzhen",
    "v7",
    "covidx",
    "folder",
    *FINDING_COMMANDS,
)
ALL_COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
COMMANDS = [command for command in ALL_COMMANDS if command[2] in (*SOURCES, "dataset1", "dataset2", "lungs")]


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kermany_folder(tmp_path / "chest_xray")
    covid_folder(tmp_path / "covid-chestxray-dataset")
    montgomery_folder(tmp_path / "MontgomerySet")
    shenzhen_folder(tmp_path / "ChinaSet_AllFiles", tmp_path / "mask")
    v7_folder(tmp_path / "v7")
    covidx_folder(tmp_path / "covidx")
    nih_folder(tmp_path / "ChestX-ray14")
    rsna_folder(tmp_path / "rsna-pneumonia-detection-challenge")
    siim_folder(tmp_path / "siim-covid19-detection")
    chexpert_folder(tmp_path / "CheXpert-v1.0-small")
    padchest_folder(tmp_path / "PadChest")
    vindr_folder(tmp_path / "vindr-cxr")
    hannover_folder(tmp_path / "covid-19-image-repository")
    class_tree(tmp_path / "tree", [f"{label}/p{n}_1.png" for label in ("a", "b") for n in range(9)])
    return tmp_path


def test_every_source_has_a_command():
    assert {command[2] for command in COMMANDS} == {*SOURCES, "dataset1", "dataset2", "lungs"}


def test_every_command_makes_a_readable_manifest(downloads):
    for command in COMMANDS:
        main(command[1:])
        out = downloads / command[command.index("--out") + 1]
        manifest = read_manifest(out, required=())
        rows = manifest.rows
        assert len(rows) > 2, command
        assert all(pathlib.Path(path).is_file() for path in rows["path"]), command
        assert set(rows["split"]) <= set(SPLITS), command
        assert (rows.groupby("patient")["split"].nunique() == 1).all(), command
        for column in ("source", "license") if command[2] == "lungs" else ("label", "source", "license"):
            assert (rows[column] != "").all(), (command, column)
        if "mask_path" in rows:
            assert all(pathlib.Path(path).is_file() for path in rows["mask_path"]), command
        assert not pd.read_csv(out)["file"].str.startswith("/").any(), command


def write_separate_manifests():
    """Writes a.csv and b.csv, two halves of tree.csv with the labels that the command in the docs maps."""
    rows = read_manifest("tree.csv").rows
    for name, half, labels in (
        ("a.csv", rows[:15], {"bacteria": "pneumonia", "virus": "pneumonia"}),
        ("b.csv", rows[15:], {"bacteria": "COVID-19", "virus": "other"}),
    ):
        half = half.assign(label=half["label"].replace(labels))
        write_manifest(half.assign(patient=name + half["patient"]), name)


def write_manifests_of_findings():
    """Writes nih/manifest.csv and table.csv, which list findings in the columns that the commands name."""
    rows = read_manifest("tree.csv").rows
    lists = (
        ("nih/manifest.csv", "finding", ["No Finding", "A", "A|B"]),
        ("table.csv", "tags", ["normal", "A", "A;B"]),
    )
    for name, column, cells in lists:
        cells = np.resize(cells, len(rows))
        pathlib.Path(name).parent.mkdir(exist_ok=True)
        write_manifest(rows.assign(file=rows["path"], mask="", **{column: cells}), name)


def test_the_commands_on_manifests_run_in_order(tmp_path, monkeypatch, capfd):
    write_phantoms(tmp_path / "set", count=30, size=96, seed=1).rename(tmp_path / "set" / "tree.csv")
    monkeypatch.chdir(tmp_path / "set")
    write_separate_manifests()
    write_manifests_of_findings()
    cv2.imwrite("radiograph.jpeg", read_image(read_manifest("tree.csv").rows["path"][5]))
    commands = [command for command in ALL_COMMANDS if command not in COMMANDS]
    assert [command[2] for command in commands] == [
        *["findings", "findings"],
        *["combine", "split", "check", "contains", "examples"],
    ]
    for command in commands:
        main(command[1:])
    for name in ("nih/findings.csv", "findings.csv"):
        assert set(read_manifest(name).rows["label:B"]) == {"0", "1"}
    assert set(read_manifest("all.csv").rows["label"]) == {"bacteria|virus", "normal", "virus"}
    drawn = read_manifest("split.csv")
    answer = "yes" if drawn.rows["split"][5] == "train" else "no"
    assert f"\n{answer}\n" in capfd.readouterr().out
    assert cv2.imread("sheet.png").size > 0
    assert json.loads(pathlib.Path("check.json").read_text())["manifest_sha256"] == drawn.sha256
    main(["data", "shard", "split.csv", "--out", "shards"])
    assert read_manifest("shards/manifest.csv").sha256 == drawn.sha256


def test_patients_of_v7_come_from_the_covid_manifest(downloads):
    for command in COMMANDS:
        if command[2] in ("covid-chestxray", "v7"):
            main(command[1:])
    rows = read_manifest(downloads / "v7_patients.csv").rows
    assert {"covid-2", "covid-4", "virus-person81", "normal-IM-0115"} == set(rows["patient"])
    assert "v7-1676192" in set(read_manifest(downloads / "v7.csv").rows["patient"])
