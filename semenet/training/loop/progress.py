"""Shows the progress and the cost of a training run: a bar in a terminal, lines in a log."""

import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import Any

import keras
import rich.console

from semenet.progress import SECONDS_BETWEEN_LINES, progress_bar
from semenet.training.input_sizes import SizePhase

# The cost is measured on this many steps after the first, or on those that are done after as many seconds.
STEPS_MEASURED = 3
SECONDS_MEASURED = 5.0
# After the first step; a step that takes longer is a lower limit of the cost.
SECONDS_TO_WAIT = 12.0


# The settings that the recipes' headers state a duration and a score for; see zoo/README.md.
_SMALLER = {"input_size": 64, "width": 0.25, "epochs": 8}
# From this duration on, a smaller training is named on a machine without a GPU.
LONG = 2 * 3600.0


@dataclasses.dataclass(frozen=True)
class TrainingCost:
    """What a training will take, without its validation."""

    step: float
    """Seconds a step."""
    batch_size: int
    """Images a step."""
    images: int
    """Images an epoch."""
    epochs: int
    """Epochs of the run."""
    left: float
    """Seconds to the end."""
    at_least: bool = False
    """Whether `step` is a lower limit, because a step is not done yet."""

    def describe(self) -> str:
        """Returns the cost in one line."""
        about = "more than" if self.at_least else "about"
        step = f"{'more than ' if self.at_least else ''}{self.step:.2f} s a step"
        return (
            f"{step} of {self.batch_size} images, {self.images:,} images an epoch, {self.epochs} epochs: "
            f"{about} {duration_words(self.left)} to the end, without validation"
        )


def duration_words(seconds: float) -> str:
    """Returns a duration in the one or two largest units."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def smaller_training(input_size: int, width: float, epochs: int) -> str | None:
    """Returns the options that make a training take minutes on a CPU; None if it has them already.

    Args:
        input_size: height and width of the input in pixels.
        width: factor for the network's number of channels.
        epochs: number of epochs.
    """
    given = {"input_size": input_size, "width": width, "epochs": epochs}
    lower = {name: value for name, value in _SMALLER.items() if given[name] > value}
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in lower.items()) or None


class ProgressCallback(keras.callbacks.Callback):
    """Prints epochs, steps, images per second, remaining time and metrics.

    Args:
        phases: the parts of the run with one input size each, in order.
        steps_per_epoch: number of steps in an epoch.
        batch_size: images per step.
        start: number of steps that were done before.
        console: where to print; None for standard error. A terminal gets a bar, anything else a line every
            ten seconds.
        smaller: options of a training that takes minutes, to be named if this one takes hours; or None.

    Attributes:
        images: number of images in an epoch, which is stated with the cost.
    """

    def __init__(
        self,
        phases: Sequence[SizePhase],
        steps_per_epoch: int,
        batch_size: int,
        *,
        start: int = 0,
        console: rich.console.Console | None = None,
        smaller: str | None = None,
    ) -> None:
        super().__init__()
        self.phases = phases
        self.epochs = phases[-1].end_epoch
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.step = start
        self.images = steps_per_epoch * batch_size
        self.smaller = smaller
        self.cost_timer: threading.Timer | None = None
        self.cost_printed = False
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
            self._wait_for_cost(epoch)
        else:
            self.steps_done += 1
            self.measured = now - self.began
            if self.steps_done >= STEPS_MEASURED or self.measured > SECONDS_MEASURED:
                self._print_cost(epoch, self.measured / self.steps_done)
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
        if self.began is not None and self.steps_done:
            self._print_cost(epoch, self.measured / self.steps_done)
        self._stop_waiting()
        self.began, self.steps_done = None, 0

    def _wait_for_cost(self, epoch: int) -> None:
        """Starts the timer that states a lower limit of the cost if the next step takes long."""
        if self.cost_timer is None and not self.cost_printed:
            words = (epoch, SECONDS_TO_WAIT, True)
            self.cost_timer = threading.Timer(SECONDS_TO_WAIT, self._print_cost, words)
            self.cost_timer.daemon = True
            self.cost_timer.start()

    def _stop_waiting(self) -> None:
        if self.cost_timer is not None:
            self.cost_timer.cancel()

    def _print_cost(self, epoch: int, step: float, at_least: bool = False) -> None:
        """Prints what the training costs, once when it is measured, and a lower limit at most once before."""
        if self.cost_printed or (at_least and self.steps_done):
            return
        if not at_least:
            self.cost_printed = True
            self._stop_waiting()
        left = self._steps_left(epoch) * step
        cost = TrainingCost(step, self.batch_size, self.images, self.epochs, left, at_least)
        self.console.print(f"cost: {cost.describe()}", highlight=False)
        if left > LONG and self.smaller is not None:
            self.console.print(
                f"This takes hours on a CPU. A smaller training first, in minutes: {self.smaller}",
                highlight=False,
            )
            self.smaller = None

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
        self._stop_waiting()
        self.bar.stop()
