"""Shows the progress of a training run: a bar in a terminal, lines in a log."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import rich.console

from semenet.progress import SECONDS_BETWEEN_LINES, progress_bar
from semenet.training.input_sizes import SizePhase


class ProgressCallback(keras.callbacks.Callback):
    """Prints epochs, steps, images per second, remaining time and metrics.

    Args:
        phases: the parts of the run with one input size each, in order.
        steps_per_epoch: number of steps in an epoch.
        batch_size: images per step.
        start: number of steps that were done before.
        console: where to print; None for standard error. A terminal gets a bar, anything else a line every
            ten seconds.
    """

    def __init__(
        self,
        phases: Sequence[SizePhase],
        steps_per_epoch: int,
        batch_size: int,
        *,
        start: int = 0,
        console: rich.console.Console | None = None,
    ) -> None:
        super().__init__()
        self.phases = phases
        self.epochs = phases[-1].end_epoch
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.step = start
        self.entered = self.task = None
        self.console = console or rich.console.Console(stderr=True, soft_wrap=True)
        self.bar = progress_bar(self.console)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the bar."""
        self.steps_done = 0
        self.began = None
        if self.task is not None:
            return
        self.entered = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task("tracing the network", total=self.steps_per_epoch, details="")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Resets the bar."""
        self.bar.reset(self.task, total=self.steps_per_epoch, completed=self.step % self.steps_per_epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Advances the bar. The first step, which traces the network, does not count for the speed."""
        now = time.monotonic()
        epoch, step = divmod(self.step, self.steps_per_epoch)
        self.step += 1
        if self.entered is not None:
            self.console.print(f"first step after {now - self.entered:.1f} s, including tracing")
            self.entered = None
        if self.began is None:
            self.began = self.last_line = now
        else:
            self.steps_done += 1
        details = f"loss {logs['loss']:.4f}"
        if self.steps_done:
            rate = self.steps_done / (now - self.began)
            details += f"  {rate * self.batch_size:.1f} images/s"
            if not self.console.is_terminal and now - self.last_line > SECONDS_BETWEEN_LINES:
                self.last_line = now
                in_epoch = (self.steps_per_epoch - step - 1) / rate
                in_all = self._steps_left(epoch) / rate
                self.console.print(
                    f"{self._epoch_name(epoch)}  step {step + 1}/{self.steps_per_epoch}  {details}"
                    f"  {in_epoch:.0f} s left in this epoch, {in_all / 60:.0f} min left in total"
                )
        self.bar.update(self.task, advance=1, description=self._epoch_name(epoch), details=details)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints the epoch's metrics. The time of validation does not count for the speed."""
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        self.console.print(f"epoch {epoch + 1}/{self.epochs}  {metrics}")
        self.began, self.steps_done = None, 0

    def _size(self, epoch: int) -> int:
        return next(phase.size for phase in self.phases if epoch < phase.end_epoch)

    def _epoch_name(self, epoch: int) -> str:
        grows = len(self.phases) > 1
        return f"epoch {epoch + 1}/{self.epochs}" + (f" at {self._size(epoch)} pixels" if grows else "")

    def _steps_left(self, epoch: int) -> float:
        """Returns the steps to the end, in steps of the current input size: time grows with the pixels."""
        left, done = 0.0, self.step
        size = self._size(epoch)
        for phase in self.phases:
            steps = max(phase.end_epoch * self.steps_per_epoch - done, 0)
            left += steps * (phase.size / size) ** 2
            done += steps
        return left

    def close(self) -> None:
        """Removes the bar and shows the terminal's cursor again. May be called more than once."""
        self.bar.stop()
