"""Runs the maintainers' scripts for the cascade and its input gate, and checks their results."""

import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from hand_made_networks import brightness_network, threshold_unet

from semenet.data.phantom.dataset import write_phantoms
from semenet.serving.cascade.cascade import Cascade

TOOLS = pathlib.Path(__file__).parents[2] / "tools"
CLASSES = ("normal", "bacteria", "other_viral", "COVID-19")


def run_tool(name, *arguments):
    command = [sys.executable, TOOLS / name, *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_evaluation_counts_the_decisions_of_the_cascade(tmp_path):
    """With networks made by hand: stage 1 passes on every image, and stage 2 calls every image COVID-19."""
    cascade = Cascade(
        brightness_network(tmp_path / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.0, 1.0]),
        threshold_unet(tmp_path / "unet.keras"),
        brightness_network(tmp_path / "two.keras", CLASSES[2:], [0.0, 1.0], size=(32, 56), alone=True),
    )
    folder = cascade.save(tmp_path / "cascade")
    both = write_phantoms(tmp_path / "one", count=30, size=96, classes=("normal", "virus"))
    covid = write_phantoms(tmp_path / "two", count=30, size=96, classes=("other_viral", "COVID-19"), seed=9)
    out = tmp_path / "evaluation"
    result = run_tool(
        "evaluate_cascade.py", folder, "--manifests", both, covid, both, "--out", out, "--resamples", 200
    )
    assert result.returncode == 0, result.stderr
    frame = pd.read_csv(out / "predictions.csv")
    # The manifest that was given twice counts once, and virus becomes other_viral.
    assert frame["path"].is_unique
    assert set(frame["label"]) == {"normal", "other_viral", "COVID-19"}
    confusion = pd.read_csv(out / "confusion.csv", index_col=0)
    assert confusion.to_numpy().sum() == len(frame)
    assert (frame["stage1"] == "virus").all()
    share = (frame["likeliest"] == frame["label"]).mean()
    assert f"| most probable class is right | {share:.3f} (" in result.stdout
    assert "| COVID-19: passed on to stage 2 | 1.000 (1.000 to 1.000)" in result.stdout
    wrong = run_tool("evaluate_cascade.py", folder, "--manifests", both, "--out", out, "--refined", "flu")
    assert wrong.returncode == 1
    assert "Received: flu" in wrong.stderr


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
    result = run_tool("input_gate/train.py", *options, "--out", tmp_path / "gate.npz")
    assert result.returncode == 0, result.stderr
    with (
        np.load(tmp_path / "gate.npz") as trained,
        np.load(TOOLS.parent / "semenet" / "inference" / "input_gate.npz") as published,
    ):
        assert {name: trained[name].shape for name in trained} == {
            name: published[name].shape for name in published
        }
    refused = run_tool("input_gate/train.py", *options, "--out", tmp_path / "x.npz", "--licenses", "CC0")
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
