"""Keeps what a training run has reached, after each epoch."""

import sys
import time

import keras
import numpy as np
import pandas as pd

from semenet.data.files import is_temporary, replacing, write_text
from semenet.errors import SemenetError
from semenet.training import run as run_folder
from semenet.training.checkpoint import restore_state, save_state


class TrainingError(SemenetError, FloatingPointError):
    """A training that cannot go on: its loss is not finite."""


class KeepRun(keras.callbacks.Callback):
    """Keeps history, the best network and the state to go on from, after each epoch.

    Args:
        out: the run folder.
        recipe: `Recipe`.
    """

    def __init__(self, out, recipe):
        super().__init__()
        self.out = out
        self.recipe = recipe
        self.history = []
        self.timings = []
        self.best = None
        self.best_epoch = None

    def restore(self, model):
        """Puts back the last epoch's state, if there is one; returns the number of epochs done.

        Removes what a killed process was writing when it died.
        """
        path = self.out / run_folder.CHECKPOINT
        written = (path.name, *run_folder.WRITTEN)
        for item in [*self.out.iterdir(), *path.parent.glob(".*")]:
            if is_temporary(item, written):
                item.unlink()
        if not path.exists():
            return 0
        progress = restore_state(path, model)
        self.history, self.timings = progress["history"], progress["timings"]
        self.best, self.best_epoch = progress["best"], progress["best_epoch"]
        print(f"Going on after epoch {len(self.history)} of {self.out}.", file=sys.stderr)
        return len(self.history)

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the epoch's clock."""
        self.epoch = epoch + 1
        self.began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Stops at the first loss that is not finite, before anything learnt from it is kept."""
        if not np.isfinite(logs["loss"]):
            raise TrainingError(
                f"The training loss must stay finite. Received: {logs['loss']} in epoch {self.epoch}, step "
                f"{batch + 1}. The state after epoch {self.epoch - 1} is kept in {self.out}; train into "
                "another folder with a lower --learning-rate or --precision float32."
            )

    def on_epoch_end(self, epoch, logs=None):
        """Writes history.csv, timings.csv, model.keras if it is the best yet, and the checkpoint."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.history.append({"epoch": epoch + 1} | _floats(logs) | {"learning_rate": rate})
        self.timings.append({"epoch": epoch + 1, "seconds": round(time.monotonic() - self.began, 3)})
        value = logs[self.recipe.monitor]
        if self._is_best(value):
            self.best, self.best_epoch = float(value), epoch + 1
            # The same layers without the optimizer, whose state would double the file: the checkpoint has it.
            network = type(self.model)(self.model.inputs, self.model.outputs, name=self.model.name)
            with replacing(self.out / run_folder.MODEL) as temporary:
                network.save(temporary)
        progress = {name: getattr(self, name) for name in ("history", "timings", "best", "best_epoch")}
        save_state(self.out / run_folder.CHECKPOINT, self.model, progress)
        for name, rows in [(run_folder.HISTORY, self.history), (run_folder.TIMINGS, self.timings)]:
            write_text(self.out / name, pd.DataFrame(rows).to_csv(index=False))

    def _is_best(self, value):
        if self.best is None:
            return True
        return value < self.best if self.recipe.monitor.endswith("loss") else value > self.best


def _floats(logs):
    return {name: float(value) for name, value in logs.items()}
