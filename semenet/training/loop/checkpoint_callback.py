"""Validates a network while it trains, and writes checkpoints, metrics and the best network."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import pandas as pd

from semenet.errors import SemenetError
from semenet.storage.atomic import is_temporary, replacing, write_text
from semenet.training.devices.device import Devices
from semenet.training.loop.averaging import WeightAverage
from semenet.training.loop.growing_sizes import phase_of, with_input_size
from semenet.training.loop.validation import Validation
from semenet.training.recipe import Recipe
from semenet.training.run_folder.checkpoint import (
    CheckpointError,
    assign_state,
    read_state,
    save_state,
    state_of,
)
from semenet.training.run_folder.file_names import (
    CHECKPOINT,
    HISTORY,
    LAST_WEIGHTS,
    MODEL,
    REPLACED,
    TIMINGS,
)
from semenet.training.stop_signals import StopRequest, TrainingStopped

SECONDS_BETWEEN_CHECKPOINTS = 600.0
_SAVED_ATTRIBUTES = ("history", "timings", "best", "best_epoch", "epoch", "step")


class TrainingError(SemenetError, FloatingPointError):
    """A training that cannot continue: its loss is not finite, or its results cannot be written."""


class CheckpointCallback(keras.callbacks.Callback):
    """Validates after each epoch, and writes the history, the best network and checkpoints.

    Rank 0 writes. The other processes validate their share of the images and keep the same values.

    Args:
        out: the run folder.
        recipe: the recipe.
        model: the compiled model that is fitted: the network, or a distillation of it.
        network: the network that is validated and saved.
        average: the moving average of the network's weights, which is validated and saved in their place.
        validation: measures the network on the validation split.
        devices: the devices that train.
        steps_per_epoch: number of steps in an epoch.
        checkpoint_every: steps between two checkpoints within an epoch; None for one every ten minutes.
        stop: the request of a signal to save a checkpoint and stop.

    Raises:
        TrainingStopped: during the training, after such a request.

    Attributes:
        epoch: number of complete epochs.
        step: number of steps in the epoch after these.
        best: the best value of the recipe's `monitor`; None before the first epoch has ended.
        best_epoch: the epoch of that value, from 1; None before the first epoch has ended.
    """

    def __init__(
        self,
        out: pathlib.Path,
        recipe: Recipe,
        *,
        model: keras.Model,
        network: keras.Model,
        average: WeightAverage,
        validation: Validation,
        devices: Devices,
        steps_per_epoch: int,
        checkpoint_every: int | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        super().__init__()
        self.out = out
        self.recipe = recipe
        self.network = network
        # A network that is trained at several input sizes has an open one; it is saved with its last size.
        self.saved_network = with_input_size(network, recipe.input_size) if recipe.input_sizes else network
        self.average = average
        self.validation = validation
        self.devices = devices
        self.steps_per_epoch = steps_per_epoch
        self.checkpoint_every = checkpoint_every
        self.stop = stop or StopRequest()
        self.path = out / CHECKPOINT
        self.state = [*state_of(model, network), *average.variables]
        self.epoch = self.step = 0
        self.seconds = 0.0
        self.history, self.timings = [], []
        self.best = self.best_epoch = None
        self._metrics = None

    @property
    def stops_early(self) -> bool:
        """Whether the monitored value has not improved for the recipe's `patience`, in epochs.

        With growing input sizes only the epochs of the last size count.
        """
        since = max(self.best_epoch or 0, self.recipe.size_phases[-1].first_epoch)
        return bool(self.recipe.patience and self.epoch - since >= self.recipe.patience)

    def restore(self) -> None:
        """Restores the last checkpoint, if there is one, and writes the results that belong to it.

        Deletes the temporary files of a process that was killed while it wrote them.
        """
        if self.devices.is_chief:
            names = (self.path.name, *REPLACED)
            for item in [*self.out.iterdir(), *self.path.parent.glob(".*")]:
                if is_temporary(item, names):
                    item.unlink()
        if not self.devices.broadcast(self.path.exists()):
            return
        arrays, progress = read_state(self.path, (*_SAVED_ATTRIBUTES, "seconds"))
        position = [progress["epoch"], progress["step"]]
        if self.devices.broadcast(position) != position:
            raise CheckpointError(
                "All processes must resume from the same checkpoint. Received: a checkpoint of another step "
                f"in this process than in rank 0, {self.path}. Put the run folder on a shared file system."
            )
        count = len(self.state)
        assign_state(self.path, arrays[:count], self.state)
        self._metrics = arrays[count:] or None
        for name, value in progress.items():
            setattr(self, name, value)
        if self.devices.is_chief:
            within = f" and step {self.step} of the next" if self.step else ""
            print(f"Resuming {self.out} after epoch {self.epoch}{within}.", file=sys.stderr)
            self._write_results()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the epoch's clock, and restores the epoch's metrics where a run resumes within an epoch."""
        self._began = self._saved = time.monotonic()
        if self._metrics is not None:
            assign_state(self.path, self._metrics, self.model.metrics_variables)
            self._metrics = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops at the first loss that is not finite, before it is saved; saves if a checkpoint is due."""
        self.step += 1
        if not np.isfinite(logs["loss"]):
            self._raise_not_finite(f"a loss of {logs['loss']}")
        # The end of an epoch stops by itself.
        stopping = self._must_stop and self.step < self.steps_per_epoch
        due = (stopping or self._is_due()) and self.devices.is_chief
        if due or self.average.momentum:
            self._fetch_state()
        self.average.update()
        if due:
            self._save(self.model.metrics_variables)
        if stopping:
            self._stop()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validates, and writes a checkpoint, the metrics, and the network if it is the best so far."""
        trained = time.monotonic()
        self._check_finite([weight.numpy() for weight in self.network.weights])
        with self.average.applied():
            logs.update(self.validation.measure(self.network))
        if self.recipe.input_sizes:
            logs["input_size"] = phase_of(self.recipe, epoch).size
        value = logs[self.recipe.monitor]
        if self._is_best(value):
            self.best, self.best_epoch = float(value), epoch + 1
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        metrics = {name: float(value) for name, value in logs.items()}
        self.history.append({"epoch": epoch + 1} | metrics | {"learning_rate": rate})
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
        elif self._must_stop and self.epoch < self.recipe.epochs:
            self._stop()

    @property
    def _must_stop(self) -> bool:
        """Whether to stop by request. Rank 0 writes the checkpoint, and the others end with it."""
        return self.stop.number is not None and self.devices.is_chief

    def _stop(self) -> NoReturn:
        raise TrainingStopped(
            f"training stopped after epoch {self.epoch}{f' and step {self.step}' if self.step else ''}. A "
            f"checkpoint was saved in {self.out}; the same command resumes from it.",
            self.stop.number,
        )

    def write_last_weights(self) -> None:
        """Writes last.weights.h5, the weights after the last step: neither averaged nor the best ones."""
        with self._translated_errors(), self._output_file(LAST_WEIGHTS) as (network, path):
            network.save_weights(path)

    def _is_due(self) -> bool:
        # The end of an epoch saves in any case.
        if self.step == self.steps_per_epoch:
            return False
        if self.checkpoint_every is not None:
            return self.step % self.checkpoint_every == 0
        return time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS

    def _fetch_state(self) -> None:
        """Updates the variables on JAX, where the trainer holds their values during an epoch."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def _save(self, metrics: Sequence[keras.Variable]) -> None:
        now = time.monotonic()
        progress = {name: getattr(self, name) for name in _SAVED_ATTRIBUTES}
        progress["seconds"] = self.seconds + now - self._began if self.step else 0.0
        arrays = [variable.numpy() for variable in (*self.state, *metrics)]
        # A step's loss is computed before its update: it can be finite while the weights no longer are.
        self._check_finite(arrays)
        with self._translated_errors():
            save_state(self.path, arrays, progress)
        self._saved = now

    @contextlib.contextmanager
    def _output_file(self, name: str) -> Iterator[tuple[keras.Model, pathlib.Path]]:
        """Yields the network to save, and the temporary file that replaces `name` afterwards.

        The network has the same layers but no optimizer, whose state would double the size of the file; the
        checkpoint holds it.
        """
        saved = self.saved_network
        network = type(saved)(saved.inputs, saved.outputs, name=saved.name)
        with self.devices.saving_scope(self.network), replacing(self.out / name) as path:
            yield network, path

    def _write_results(self) -> None:
        """Writes the files that follow from the checkpoint of an epoch's end, after the checkpoint itself.

        A run that was killed in between writes them when it is resumed, so they always agree.
        """
        with self._translated_errors():
            if self.step == 0 and self.best_epoch == self.epoch:
                with self.average.applied(), self._output_file(MODEL) as (network, path):
                    network.save(path)
            for name, rows in [(HISTORY, self.history), (TIMINGS, self.timings)]:
                if rows:
                    write_text(self.out / name, pd.DataFrame(rows).to_csv(index=False))

    def _check_finite(self, arrays: Sequence[np.ndarray]) -> None:
        if not all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f"):
            self._raise_not_finite("weights that are not finite")

    def _raise_not_finite(self, received: str) -> NoReturn:
        raise TrainingError(
            f"Loss and weights must stay finite. Received: {received}, in epoch {self.epoch + 1}, step "
            f"{self.step}. {self._kept} Train in another folder with a lower --learning-rate, --clip-norm "
            "1 or --precision float32."
        )

    @property
    def _kept(self) -> str:
        if self.path.exists():
            return f"The last checkpoint is kept in {self.out}."
        return "Nothing was kept: there was no checkpoint yet."

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turns an error while writing, most often a full disk, into a `TrainingError` with a remedy."""
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"The results of a run must fit on its disk. Received: {error}, while writing to {self.out}. "
                f"{self._kept} Free some space and run the same command again."
            ) from error

    def _is_best(self, value: float) -> bool:
        # Values at different input sizes do not compare.
        grown = self.epoch == self.recipe.size_phases[-1].first_epoch
        if self.best is None or np.isnan(self.best) or grown:
            return True
        return value < self.best if self.recipe.monitor.endswith("loss") else value > self.best
