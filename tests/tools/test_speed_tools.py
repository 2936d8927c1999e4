"""The scripts that measure training steps: by kind of operation, on a GPU, and with changed options."""

import collections

import pandas as pd
import pytest
from maintainers_tools import run_tool


def test_operations_are_added_up_by_kind(tool):
    spent = collections.Counter(
        {
            "_MklNativeConv2DBackpropFilter": 3e9,
            "Conv2D": 1e9,
            "FusedBatchNormGradV3": 2e9,
            "Cast": 5e9,
            "AssignAddVariableOp": 7e9,
            "AddV2": 11e9,
            "Roll": 13e9,
        }
    )
    assert tool("bench/step_profile").by_kind(spent, steps=2) == {
        "convolution": 2,
        "batch normalisation, fused": 1,
        "precision casts": 2.5,
        "optimizer": 3.5,
        "elementwise arithmetic": 5.5,
        "other": 6.5,
    }


def test_the_table_of_a_gpu_has_a_dash_and_the_error_where_a_measurement_failed(tool):
    rows = [
        {"recipe": "vgg19_gap", "size": 512, "plain": 10.04, "xla": None},
        {"recipe": "resnet50_gap", "size": 512, "plain": 20.0, "xla": 21.96},
    ]
    text = tool("bench/gpu").page(rows, ["plain", "xla"], ["vgg19_gap, with XLA: out of memory"], "One GPU")
    assert text == (
        "One GPU, training, images/s:\n\n"
        "| recipe | pixels | without XLA | with XLA |\n"
        "| --- | --- | --- | --- |\n"
        "| `vgg19_gap` | 512 | 10.0 | - |\n"
        "| `resnet50_gap` | 512 | 20.0 | 22.0 |\n"
        "\n- vgg19_gap, with XLA: out of memory\n"
    )


@pytest.mark.slow
def test_the_gpu_benchmark_is_rehearsed_on_the_cpu(tmp_path):
    out = tmp_path / "gpu.md"
    small = ("--size", 32, "--width", 0.125, "--depth", 0.01, "--batch-size", 2, "--steps", 1)
    result = run_tool("bench/gpu.py", "vgg19_gap", *small, "--precision", "float32", "--out", out)
    assert result.returncode == 0, result.stderr
    text = out.read_text()
    assert "| recipe | pixels | without XLA | with XLA |" in text
    images_s = text.splitlines()[4].split(" | ")[2:]
    assert float(images_s[0]) > 0
    assert float(images_s[1].rstrip(" |")) > 0


@pytest.mark.slow
def test_the_profile_of_a_step_shows_the_fused_normalisation_only_after(tmp_path):
    out = tmp_path / "profile.csv"
    small = ("--size", 32, "--width", 0.125, "--depth", 0.01, "--batch-size", 2, "--steps", 1, "--rounds", 1)
    result = run_tool("bench/step_profile.py", "resnet50_gap", *small, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "images per processor second before" in result.stdout
    table = pd.read_csv(out, index_col="milliseconds per step")
    fused = table.loc["batch normalisation, fused"]
    assert fused["before"] == 0
    assert fused["after"] > 0
    assert (table.loc["convolution", ["before", "after"]] > 0).all()


@pytest.mark.slow
def test_options_are_compared_over_seeds(phantoms, tmp_path):
    small = ("--input-size", 32, "--width", 0.125, "--depth", 0.01, "--epochs", 1, "--batch-size", 16)
    options = ("--manifest", phantoms, "--out", tmp_path / "out", "--changed=--ema 0.5", "--resamples", 20)
    result = run_tool("paper/compare_options.py", *options, "--seeds", 0, 1, *small)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "# seme_resnet50: --ema 0.5 against its defaults" in text
    assert "| macro_auroc |" in text
    assert "| seconds of training |" in text


def test_two_equal_series_are_refused(phantoms, tmp_path):
    options = ("--manifest", phantoms, "--out", tmp_path / "out", "--changed=--ema 0.5", "--base=--ema 0.5")
    result = run_tool("paper/compare_options.py", *options)
    assert result.returncode == 1
    assert "The two series must differ" in result.stderr


def test_the_ratio_of_onednn_is_the_median_over_the_rounds(tool):
    line = tool("bench/onednn").summary("images/s", [10, 10, 20], [20, 15, 60])
    assert line == "images/s: 10 without oneDNN, 20 with it, ratio 2.00 (1.50 to 3.00)"


@pytest.mark.slow
def test_training_steps_are_timed_with_and_without_onednn(tool, capsys):
    tool("bench/onednn").main(("vgg19_gap",), size=32, batch_size=2, width=0.125, steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "vgg19_gap, 32 pixels, batches of 2, width 0.125"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "images/s",
        "images per second of processor time",
    ]
