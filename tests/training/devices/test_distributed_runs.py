"""Complete runs on several devices and processes, compared with runs on one."""

import json
import os
import pathlib
import sys
import time

import h5py
import numpy as np
import pandas as pd
import pytest
from jax_process import jax_environment
from maintainers_tools import run_script
from process_group import ProcessGroup, free_port

ROOT = pathlib.Path(__file__).parents[3]
SECONDS = 240
# 27 training images in batches of 8: the last batch has 3, which two devices fill up to 4. With a low
# learning rate, rounding errors stay small.
OPTIONS = {
    "input-size": 32,
    "width": 0.125,
    "depth": 0.01,
    "batch-size": 8,
    "epochs": 2,
    "learning-rate": 1e-4,
    "ema": 0.9,
    "class-weights": "balanced",
    "checkpoint-every": 2,
}


def command(script, manifest, out, **changes):
    options = OPTIONS | {"manifest": manifest, "out": out} | changes
    return [sys.executable, str(script), *(f"--{name}={value}" for name, value in options.items())]


def start(commands, folder, backend="tensorflow"):
    folder.mkdir(exist_ok=True)
    environment = jax_environment() if backend == "jax" else os.environ
    return ProcessGroup(commands, environment, folder, SECONDS)


def finish(group):
    for rank in range(len(group.commands)):
        assert group.wait(rank) == 0, group.errors(rank)


def even(manifest, folder):
    """Returns the manifest with only as many training images as fill whole batches."""
    from semenet.data.manifest.table import read_manifest, write_manifest

    rows = read_manifest(manifest).rows.drop(columns=["mask", "mask_path", "lesion_mask"])
    rows["file"] = rows.pop("path")
    training = rows.index[rows["split"] == "train"]
    write_manifest(rows.drop(index=training[len(training) // 8 * 8 :]), folder / "even.csv")
    return folder / "even.csv"


def assert_alike(one, other, tolerance):
    histories = [pd.read_csv(folder / "history.csv") for folder in (one, other)]
    pd.testing.assert_frame_equal(*histories, rtol=tolerance, atol=tolerance)
    arrays = [{}, {}]
    for folder, found in zip((one, other), arrays, strict=True):
        with h5py.File(folder / "last.weights.h5") as file:
            file.visititems(
                lambda name, item, found=found: (
                    found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        np.testing.assert_allclose(arrays[1][name], array, rtol=tolerance, atol=tolerance, err_msg=name)


UNLEARNING = {
    "class-weights": "none",
    "group-by": "label,marker",
    "dro-step": 0.5,
    "unlearn": "marker",
    "unlearn-within": "label",
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, UNLEARNING], ids=["plain", "unlearning"])
def test_a_mirrored_run_equals_a_run_on_one_device(changes, phantoms, tmp_path):
    manifest = even(phantoms, tmp_path)
    script = pathlib.Path(__file__).with_name("train_on_two_devices.py")
    two = command(script, manifest, tmp_path / "two", distribute="mirrored", **changes)
    with start([two], tmp_path / "logs") as group:
        # One device is what this process has.
        one = command(ROOT / "recipes" / "seme_resnet50.py", manifest, tmp_path / "one", **changes)
        ended = run_script(*one[1:])
        assert ended.returncode == 0, ended.stderr
        finish(group)
    assert_alike(tmp_path / "one", tmp_path / "two", 1e-4)
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert record["options"]["distribute"] == "mirrored"


@pytest.mark.slow
def test_a_run_of_two_processes_equals_one_process_and_resumes_after_a_kill(phantoms, tmp_path):
    manifest = even(phantoms, tmp_path)
    script = ROOT / "recipes" / "seme_resnet50.py"
    one = command(script, manifest, tmp_path / "one")

    def two(epochs=2):
        port = free_port()
        place = {"distribute": "data_parallel", "coordinator": f"127.0.0.1:{port}", "processes": 2}
        out = tmp_path / "two"
        return [command(script, manifest, out, epochs=epochs, **place, rank=rank) for rank in (0, 1)]

    with start([one], tmp_path / "logs_one", "jax") as alone, start(two(), tmp_path / "logs", "jax") as group:
        # The first epoch is saved: the other process ends with a message, and the same command resumes.
        while not (tmp_path / "two" / "history.csv").exists():
            assert group.processes[0].poll() is None, group.errors(0)
            time.sleep(0.01)
        group.kill(1)
        assert group.wait(0) != 0
        assert "rank 1 has ended" in group.errors(0)
        assert "same command" in group.errors(0)
        finish(alone)
    assert not (tmp_path / "two" / "last.weights.h5").exists()
    with start(two(), tmp_path / "logs", "jax") as group:
        finish(group)
        assert "after epoch 1" in group.errors(0)
    assert_alike(tmp_path / "one", tmp_path / "two", 1e-4)
