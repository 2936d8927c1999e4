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

from semenet.storage.atomic import is_temporary

ROOT = pathlib.Path(__file__).parents[3]
SECONDS = 180
SMALL = ["--input-size", "32", "--width", "0.25", "--depth", "0.01", "--epochs", "3", "--batch-size", "4"]


def command(manifest, out, *options):
    recipe = ROOT / "recipes" / "seme_resnet50.py"
    fixed = ["--deterministic", "--checkpoint-every", "2", "--ema", "0.9"]
    arguments = ["--manifest", manifest, "--out", out, *SMALL, *fixed, *options]
    return [sys.executable, str(recipe), *map(str, arguments)]


def run(manifest, out, *options, **arguments):
    result = subprocess.run(
        command(manifest, out, *options), capture_output=True, text=True, timeout=SECONDS, **arguments
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


def kill_once(process, moment):
    """Kills a process as soon as a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not moment():
        assert process.poll() is None, "it ended before the moment came"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
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
    run(phantoms, whole, *options)
    checkpoint = killed / "checkpoints" / "last.npz"
    for moment in moments:
        process = subprocess.Popen(
            command(phantoms, killed, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        kill_once(process, lambda moment=moment: reached(killed, moment))
    assert not (killed / "last.weights.h5").exists()
    assert "after epoch" in run(phantoms, killed, *options)

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


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(phantoms, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(command(phantoms, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kill_once(process, (out / "history.csv").exists)
    before = (out / "checkpoints" / "last.npz").read_bytes()

    def no_room():
        # Limits the size of files: exceeding it raises an OSError, as a full disk does.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    result = subprocess.run(
        command(phantoms, out), capture_output=True, text=True, timeout=SECONDS, preexec_fn=no_room
    )
    assert result.returncode == 1
    assert "must fit on its disk" in result.stderr
    assert "Free some space and run the same command again" in result.stderr
    assert "Traceback" not in result.stderr
    assert (out / "checkpoints" / "last.npz").read_bytes() == before
    assert not list(out.rglob(".*.last.npz"))
    run(phantoms, out)


@pytest.mark.slow
def test_a_second_process_in_the_same_folder_raises(phantoms, tmp_path):
    out = tmp_path / "run"
    first = subprocess.Popen(
        command(phantoms, out, "--epochs", "500"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not (out / "run.json").exists():
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = subprocess.run(
            command(phantoms, out, "--epochs", "500"), capture_output=True, text=True, timeout=SECONDS
        )
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 1
    assert "another process is training" in second.stderr
