"""Keeps what a training run has reached: its state, its figures and the best network."""

import contextlib
import sys
import time

import keras
import numpy as np
import pandas as pd

from semenet.errors import SemenetError
from semenet.storage.atomic import is_temporary, replacing, write_text
from semenet.training.run_folder import run as run_folder
from semenet.training.run_folder.checkpoint import (
    CheckpointError,
    assign_state,
    read_state,
    save_state,
    state_of,
)

SECONDS_BETWEEN_CHECKPOINTS = 600.0
_SAVED = ("history", "timings", "best", "best_epoch", "epoch", "step")


class TrainingError(SemenetError, FloatingPointError):
    """A training that cannot go on: its loss is not finite, or what it has reached cannot be kept."""


class KeepRun(keras.callbacks.Callback):
    """Validates after each epoch and keeps history, the best network and the state to go on from.

    The first process writes; the others validate their share and keep the same books.

    Args:
        out: the run folder.
        recipe: `Recipe`.
        model: what is fitted, compiled: the network, or what distils into it.
        network: the network that is validated and kept.
        average: `WeightAverage` of the network, which takes its place in both.
        validation: `Validation`.
        devices: `Devices`.
        steps_per_epoch: int.
        checkpoint_every: int, steps; None for every ten minutes.

    Attributes:
        epoch: int, whole epochs done.
        step: int, steps done in the epoch after these.
        best: float, the best figure so far, and `best_epoch`, its epoch from 1 on; None before the first.
    """

    def __init__(
        self,
        out,
        recipe,
        *,
        model,
        network,
        average,
        validation,
        devices,
        steps_per_epoch,
        checkpoint_every=None,
    ):
        super().__init__()
        self.out = out
        self.recipe = recipe
        self.network = network
        self.average = average
        self.validation = validation
        self.devices = devices
        self.steps_per_epoch = steps_per_epoch
        self.checkpoint_every = checkpoint_every
        self.path = out / run_folder.CHECKPOINT
        self.state = [*state_of(model, network), *average.variables]
        self.epoch = self.step = 0
        self.seconds = 0.0
        self.history, self.timings = [], []
        self.best = self.best_epoch = None
        self._metrics = None

    @property
    def stops_early(self):
        """Whether the figure has not become better for as many epochs as the recipe waits."""
        return bool(self.recipe.patience and self.epoch - (self.best_epoch or 0) >= self.recipe.patience)

    def restore(self):
        """Puts back the last state that was saved, if there is one, and writes the figures that belong to it.

        Removes what a killed process was writing when it died.
        """
        if self.devices.is_chief:
            written = (self.path.name, *run_folder.WRITTEN)
            for item in [*self.out.iterdir(), *self.path.parent.glob(".*")]:
                if is_temporary(item, written):
                    item.unlink()
        if not self.devices.agree(self.path.exists()):
            return
        arrays, progress = read_state(self.path, (*_SAVED, "seconds"))
        if self.devices.agree([progress["epoch"], progress["step"]]) != [progress["epoch"], progress["step"]]:
            raise CheckpointError(
                "All processes go on from one checkpoint. Received: another one in this process than in the "
                f"first, {self.path}. Put the run folder on a file system that all share."
            )
        count = len(self.state)
        assign_state(self.path, arrays[:count], self.state)
        self._metrics = arrays[count:] or None
        for name, value in progress.items():
            setattr(self, name, value)
        if self.devices.is_chief:
            within = f" and step {self.step} of the next" if self.step else ""
            print(f"Going on after epoch {self.epoch}{within} of {self.out}.", file=sys.stderr)
            self._write_results()

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the epoch's clock, and puts the metrics back where a run goes on within an epoch."""
        self._began = self._saved = time.monotonic()
        if self._metrics is not None:
            assign_state(self.path, self._metrics, self.model.metrics_variables)
            self._metrics = None

    def on_train_batch_end(self, batch, logs=None):
        """Stops at the first loss that is not finite, before anything learnt from it is kept; or saves."""
        self.step += 1
        if not np.isfinite(logs["loss"]):
            self._diverge(f"a loss of {logs['loss']}")
        due = self._is_due() and self.devices.is_chief
        if due or self.average.momentum:
            self._fetch_state()
        self.average.update()
        if due:
            self._save(self.model.metrics_variables)

    def on_epoch_end(self, epoch, logs=None):
        """Validates, and writes the network if it is the best yet, the checkpoint and the figures."""
        trained = time.monotonic()
        self._check_finite([weight.numpy() for weight in self.network.weights])
        with self.average.in_place():
            logs.update(self.validation.measure(self.network))
        value = logs[self.recipe.monitor]
        if self._is_best(value):
            self.best, self.best_epoch = float(value), epoch + 1
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.history.append({"epoch": epoch + 1} | _floats(logs) | {"learning_rate": rate})
        seconds = self.seconds + trained - self._began
        self.timings.append(
            {
                "epoch": epoch + 1,
                "seconds": round(self.seconds + time.monotonic() - self._began, 3),
                "training_seconds": round(seconds, 3),
                "validation_seconds": round(time.monotonic() - trained, 3),
            }
        )
        self.epoch, self.step, self.seconds = epoch + 1, 0, 0.0
        if self.devices.is_chief:
            self._save([])
            self._write_results()
        if self.stops_early:
            self.model.stop_training = True

    def _is_due(self):
        # The end of an epoch saves anyway.
        if self.step == self.steps_per_epoch:
            return False
        if self.checkpoint_every is not None:
            return self.step % self.checkpoint_every == 0
        return time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS

    def _fetch_state(self):
        """On JAX the trainer holds the variables' values while an epoch lasts."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def _save(self, metrics):
        now = time.monotonic()
        progress = {name: getattr(self, name) for name in _SAVED}
        progress["seconds"] = self.seconds + now - self._began if self.step else 0.0
        arrays = [variable.numpy() for variable in (*self.state, *metrics)]
        # The loss of a step is that before its update: the weights may be ruined while it is finite.
        self._check_finite(arrays)
        with self._writing():
            save_state(self.path, arrays, progress)
        self._saved = now

    def write_last_weights(self):
        """Writes last.weights.h5, the weights after the last step: not averaged, and not the best ones'."""
        with self._writing(), self._file(run_folder.LAST_WEIGHTS) as (network, path):
            network.save_weights(path)

    @contextlib.contextmanager
    def _file(self, name):
        """The network to save, and the file to save it to.

        The same layers without the optimizer, whose state would double the file: the checkpoint has it.
        """
        network = type(self.network)(self.network.inputs, self.network.outputs, name=self.network.name)
        with self.devices.for_saving(self.network), replacing(self.out / name) as path:
            yield network, path

    def _write_results(self):
        """Writes what follows from the checkpoint of an epoch's end, after it.

        A run that was killed in between writes it when it goes on: the two never tell of different epochs.
        """
        with self._writing():
            if self.step == 0 and self.best_epoch == self.epoch:
                with self.average.in_place(), self._file(run_folder.MODEL) as (network, path):
                    network.save(path)
            self._write_figures()

    def _check_finite(self, arrays):
        if not all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f"):
            self._diverge("weights that are not")

    def _diverge(self, received):
        raise TrainingError(
            f"Loss and weights must stay finite. Received: {received}, in epoch {self.epoch + 1}, step "
            f"{self.step}. {self._kept} Train into another folder with a lower --learning-rate, --clip-norm "
            "1 or --precision float32."
        )

    @property
    def _kept(self):
        if self.path.exists():
            return f"The last checkpoint is kept in {self.out}."
        return "Nothing was kept: there was no checkpoint yet."

    def _write_figures(self):
        for name, rows in [(run_folder.HISTORY, self.history), (run_folder.TIMINGS, self.timings)]:
            if rows:
                write_text(self.out / name, pd.DataFrame(rows).to_csv(index=False))

    @contextlib.contextmanager
    def _writing(self):
        """Says what to do where a file cannot be written, most often for want of room."""
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"What a run has reached must fit on its disk. Received: {error}, writing into {self.out}. "
                f"{self._kept} Make room and give the same command again."
            ) from error

    def _is_best(self, value):
        if self.best is None or np.isnan(self.best):
            return True
        return value < self.best if self.recipe.monitor.endswith("loss") else value > self.best


def _floats(logs):
    return {name: float(value) for name, value in logs.items()}
