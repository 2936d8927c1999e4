"""Real processes that are killed at various moments and started again with the same command."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from maintainers_tools import run_script
from tensorflow.python.util import _pywrap_util_port

from semenet.storage.atomic import is_temporary

ROOT = pathlib.Path(__file__).parents[3]
SECONDS = 180
SMALL = ["--input-size", "32", "--width", "0.25", "--depth", "0.01", "--epochs", "3", "--batch-size", "4"]


def command(manifest, out, *options):
    recipe = ROOT / "recipes" / "seme_resnet50.py"
    fixed = ["--deterministic", "--checkpoint-every", "2", "--ema", "0.9"]
    arguments = ["--manifest", manifest, "--out", out, *SMALL, *fixed, *options]
    return [sys.executable, str(recipe), *map(str, arguments)]


def start(manifest, out, *options):
    """Starts the recipe in a process of its own, which can be killed."""
    # A command trains with oneDNN; without it, as perhaps in this process, rounding differs.
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(int(_pywrap_util_port.IsMklEnabled()))}
    return subprocess.Popen(
        command(manifest, out, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def run(manifest, out, *options):
    """Runs the recipe in this process; returns its exit status and its messages."""
    result = run_script(*command(manifest, out, *options)[1:])
    return result.returncode, result.stderr


def stop_once(process, moment, number=signal.SIGKILL):
    """Sends a process a signal as soon as a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not moment():
        assert process.poll() is None, "it ended before the moment came"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    process.send_signal(number)


def kill(process):
    process.kill()
    process.wait()


def half_written(out):
    with contextlib.suppress(FileNotFoundError), os.scandir(out / "checkpoints") as items:
        return any(is_temporary(pathlib.Path(item), ("last.npz",)) for item in items)
    return False


def reached(out, moment):
    return half_written(out) if moment == "half-written" else (out / moment).exists()


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "moments"),
    [
        # While a checkpoint is written, then within an epoch.
        (["--class-weights", "balanced"], ["half-written", "checkpoints/last.npz"]),
        # Before the first step, then after an epoch.
        (
            ["--balance", "label", "--epoch-images", "30", "--acquisition", "0.5", "--rotation", "10"],
            ["run.json", "history.csv"],
        ),
    ],
    ids=["class_weights", "sampling"],
)
def test_a_run_killed_twice_ends_like_an_uninterrupted_one(phantoms, tmp_path, options, moments):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(phantoms, whole, *options)[0] == 0
    checkpoint = killed / "checkpoints" / "last.npz"
    for moment in moments:
        process = start(phantoms, killed, *options)
        stop_once(process, lambda moment=moment: reached(killed, moment))
        kill(process)
    assert not (killed / "last.weights.h5").exists()
    status, messages = run(phantoms, killed, *options)
    assert status == 0, messages
    assert "after epoch" in messages

    mine, theirs = arrays(killed / "last.weights.h5"), arrays(whole / "last.weights.h5")
    assert mine.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_array_equal(mine[name], theirs[name])
    assert (killed / "history.csv").read_text() == (whole / "history.csv").read_text()
    with np.load(checkpoint) as mine, np.load(whole / "checkpoints" / "last.npz") as theirs:
        assert set(mine.files) == set(theirs.files)
        for name in set(theirs.files) - {"progress"}:
            np.testing.assert_array_equal(mine[name], theirs[name])
    best = [arrays_of_keras(folder / "model.keras") for folder in (whole, killed)]
    for name in best[0]:
        np.testing.assert_array_equal(best[0][name], best[1][name])
    assert not list(killed.rglob(".*.npz"))


def arrays_of_keras(path):
    import semenet

    return {weight.path: weight.numpy() for weight in semenet.load_model(path).weights}


@contextlib.contextmanager
def full_disk():
    """Limits the size of files: exceeding it raises an OSError, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.slow
def test_a_second_process_and_a_full_disk_stop_the_run_and_keep_the_last_checkpoint(phantoms, tmp_path):
    out = tmp_path / "run"
    process = start(phantoms, out)
    try:
        # A stopped process still holds the run folder.
        stop_once(process, (out / "history.csv").exists, signal.SIGSTOP)
        status, messages = run(phantoms, out)
    finally:
        kill(process)
    assert status == 1
    assert "another process is training" in messages
    before = (out / "checkpoints" / "last.npz").read_bytes()

    with full_disk():
        status, messages = run(phantoms, out)
    assert status == 1
    assert "must fit on its disk" in messages
    assert "Free some space and run the same command again" in messages
    assert "Traceback" not in messages
    assert (out / "checkpoints" / "last.npz").read_bytes() == before
    assert not list(out.rglob(".*.last.npz"))
    status, messages = run(phantoms, out)
    assert status == 0, messages
