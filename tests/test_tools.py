"""The maintainers' scripts run: the demo whole, the benchmark and the constraints in short."""

import pathlib
import re
import subprocess
import sys

import pandas as pd
import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run_tool(name, *arguments):
    command = [sys.executable, ROOT / "tools" / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_demo_goes_the_whole_path_and_says_where_the_report_is(tmp_path):
    out = tmp_path / "demo"
    result = run_tool("demo.py", "--out", out, "--count", 45, "--size", 64, "--epochs", 1)
    assert result.returncode == 0, result.stderr
    report = re.search(r"Report: +(\S+)", result.stdout)[1]
    assert pathlib.Path(report) == out / "evaluation" / "report.html"
    assert pathlib.Path(report).is_file()
    assert len(list((out / "maps").glob("*_overlay.png"))) == 6
    assert len(re.findall(r"\.png  normal \d\.\d{3}", result.stdout)) == 6


def test_the_demo_replaces_nobody_s_folder(tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = run_tool("demo.py", "--out", tmp_path)
    assert result.returncode == 1
    assert "Received: " in result.stderr
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.slow
def test_the_benchmark_measures_an_entry_beside_its_plain_backbone(tmp_path):
    out = tmp_path / "bench.csv"
    options = ("--size", 32, "--batch-size", 2, "--pairs", 1, "--out", out)
    result = run_tool("bench_models.py", "resnet50_gap", *options)
    assert result.returncode == 0, result.stderr
    row = pd.read_csv(out).iloc[0]
    assert row["entry"] == "resnet50_gap"
    assert row["parameters"] == 23_587_587
    assert row[["build_s", "first_step_s", "train_images_s", "predict_images_s"]].gt(0).all()
    assert row[["train_ratio", "predict_ratio"]].between(0.1, 10).all()


@pytest.mark.slow
def test_the_pipeline_s_benchmark_times_all_that_is_installed(phantoms):
    result = run_tool("bench_pipeline.py", "--manifest", phantoms, "--size", 32, "--rounds", 1)
    assert result.returncode == 0, result.stderr
    assert "45 images to 32 x 32" in result.stdout
    for name in ("semenet", "OpenCV, INTER_LINEAR", "OpenCV, INTER_AREA"):
        speed, ratio = re.search(rf"{name} +(\d+) +\d+ +\d+ +(\d+\.\d+)", result.stdout).groups()
        assert int(speed) > 0
        assert float(ratio) > 0
    assert ("PyTorch" in result.stdout) or ("is left out" in result.stdout)
    assert len(re.findall(r"^cache \w+: images/s by epoch", result.stdout, re.MULTILINE)) == 3


@pytest.mark.slow
def test_the_manifest_s_benchmark_times_every_step():
    result = run_tool("bench_manifest.py", "--rows", 3000, "--patients", 900)
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"\d+\.\d\d s$", result.stdout, re.MULTILINE)) >= 3


def test_the_lowest_versions_are_those_of_setup_cfg():
    lines = run_tool("lowest.py").stdout.split()
    assert "keras==3.15" in lines
    assert "jax==0.7" in lines
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)
