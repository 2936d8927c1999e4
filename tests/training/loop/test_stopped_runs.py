"""A training that a signal stops with a checkpoint, and what must be the same to resume it."""

import pathlib
import shutil
import signal

import h5py
import numpy as np
import pandas as pd
import pytest

from semenet.training.loop.checkpoint_callback import CheckpointCallback
from semenet.training.loop.fit import train
from semenet.training.options import RunOptions
from semenet.training.run_folder import run_folder_setup
from semenet.training.run_folder.checkpoint import read_state
from semenet.training.run_folder.record import RunFolderError
from semenet.training.stop_signals import TrainingStopped


def signal_at(monkeypatch, epoch, step):
    """Sends SIGTERM to this process during a step of a training."""
    usual = CheckpointCallback.on_train_batch_end

    def batch_end(self, batch, logs=None):
        if (self.epoch, self.step + 1) == (epoch, step):
            signal.raise_signal(signal.SIGTERM)
        usual(self, batch, logs)

    monkeypatch.setattr(CheckpointCallback, "on_train_batch_end", batch_end)


def weights(folder):
    found = {}
    with h5py.File(folder / "last.weights.h5") as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


@pytest.fixture
def copied(phantoms, tmp_path):
    shutil.copytree(phantoms.parent, tmp_path / "set")
    return tmp_path / "set" / phantoms.name


def test_a_signal_saves_a_checkpoint_from_which_the_run_goes_on(
    copied, tmp_path, tiny_recipe, monkeypatch, capsys
):
    recipe, out = tiny_recipe("vgg19_gap"), tmp_path / "run"
    options = RunOptions(tensorboard=False)
    train(recipe, copied, tmp_path / "whole", options=options)
    with monkeypatch.context() as patched:
        signal_at(patched, epoch=1, step=2)
        with pytest.raises(
            TrainingStopped, match=r"epoch 1 and step 2\. .*saved in .*run; the same"
        ) as stopped:
            train(recipe, copied, out, options=options)
    assert stopped.value.exit_status == 143
    _, progress = read_state(out / "checkpoints" / "last.npz")
    assert (progress["epoch"], progress["step"]) == (1, 2)

    image = pathlib.Path(pd.read_csv(copied).query("split == 'train'")["file"].iloc[0])
    original = (copied.parent / image).read_bytes()
    other = next(path for path in (copied.parent / image.parent).iterdir() if path.read_bytes() != original)
    (copied.parent / image).write_bytes(other.read_bytes())
    with pytest.raises(RunFolderError, match="started with other contents of the image files"):
        train(recipe, copied, out)

    (copied.parent / image).write_bytes(original)
    versions = run_folder_setup.package_versions()
    monkeypatch.setattr(run_folder_setup, "package_versions", lambda: versions | {"numpy": "9.9"})
    train(recipe, copied, out, options=options)
    assert f"started with numpy {versions['numpy']}, now 9.9" in capsys.readouterr().err
    uninterrupted, resumed = weights(tmp_path / "whole"), weights(out)
    assert uninterrupted.keys() == resumed.keys()
    for name, values in uninterrupted.items():
        np.testing.assert_allclose(resumed[name], values, rtol=1e-4, atol=1e-6, err_msg=name)

    # A finished run needs its images no more.
    (copied.parent / image).unlink()
    assert train(recipe, copied, out).record["status"] == "finished"
