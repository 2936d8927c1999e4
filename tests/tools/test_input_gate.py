"""Runs the maintainers' scripts for the input gate, and checks their results."""

import pathlib

import cv2
import numpy as np
import pandas as pd
import pytest
from maintainers_tools import run_tool, start_tool

from semenet.data.phantom.dataset import write_phantoms

GATE = pathlib.Path(__file__).parents[2] / "semenet" / "inference" / "input_gate.npz"


@pytest.mark.slow
def test_the_input_gate_is_trained_and_measured(tmp_path):
    manifest = write_phantoms(tmp_path / "phantoms", count=30, size=96)
    rows = pd.read_csv(manifest)
    rows["license"] = "CC BY 4.0"
    rows.to_csv(manifest, index=False)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        cv2.imwrite(str(pictures / f"{number}.png"), rng.integers(0, 256, (90, 120, 3)).astype("uint8"))
    (pictures / "none.png").write_bytes(b"no image")
    options = ("--frontal", manifest, "--others", pictures, "--held-out", 7)
    options += ("--drawn", 2, "--images", 200, "--epochs", 1)
    result = start_tool("input_gate/train.py", *options, "--out", tmp_path / "gate.npz")
    assert result.returncode == 0, result.stderr
    with (
        np.load(tmp_path / "gate.npz") as trained,
        np.load(GATE) as published,
    ):
        assert {name: trained[name].shape for name in trained} == {
            name: published[name].shape for name in published
        }
    refused = start_tool("input_gate/train.py", *options, "--out", tmp_path / "x.npz", "--licenses", "CC0")
    assert refused.returncode == 1
    assert "train rows under CC0" in refused.stderr
    measured = run_tool(
        "input_gate/measure.py", f"ours={manifest}", f"pictures={pictures}", "--turned", "--laterals", 4,
        "--out", tmp_path / "gate.csv",
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    assert "1 files below" in measured.stderr
    table = pd.read_csv(tmp_path / "gate.csv").set_index("set")
    assert table.loc["ours", "accepted"] == 1
    assert table.loc["ours, inverted", "inverted"] > 0.8
    assert table.loc["pictures", "accepted"] == 0
    assert table.loc["lateral phantoms", "lateral"] == 1
