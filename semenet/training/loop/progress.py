"""Shows how far a training run is: a bar in a terminal, lines in a log."""

import time

import keras
import rich.console

from semenet.progress import SECONDS_BETWEEN_LINES, bar


class ShowProgress(keras.callbacks.Callback):
    """Prints epochs, steps, images a second, time left and figures.

    Args:
        epochs: int.
        steps_per_epoch: int.
        batch_size: int, for the images a second.
        start: int, the steps done before.
        console: `rich.console.Console`; a terminal gets a bar, anything else a line every ten seconds.
    """

    def __init__(self, epochs, steps_per_epoch, batch_size, *, start=0, console=None):
        super().__init__()
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.step = start
        self.entered = self.task = None
        self.console = console or rich.console.Console(stderr=True, soft_wrap=True)
        self.bar = bar(self.console)

    def on_train_begin(self, logs=None):
        """Starts the bar."""
        self.steps_done = 0
        self.began = None
        if self.task is not None:
            return
        self.entered = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task("tracing the network", total=self.steps_per_epoch, figures="")

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the bar back."""
        self.bar.reset(self.task, total=self.steps_per_epoch, completed=self.step % self.steps_per_epoch)

    def on_train_batch_end(self, batch, logs=None):
        """Advances; the first step, which traces the network, does not count for the speed."""
        now = time.monotonic()
        epoch, step = divmod(self.step, self.steps_per_epoch)
        self.step += 1
        if self.entered is not None:
            self.console.print(f"first step after {now - self.entered:.1f} s, tracing included")
            self.entered = None
        if self.began is None:
            self.began = self.last_line = now
        else:
            self.steps_done += 1
        figures = f"loss {logs['loss']:.4f}"
        if self.steps_done:
            rate = self.steps_done / (now - self.began)
            figures += f"  {rate * self.batch_size:.1f} images/s"
            if not self.console.is_terminal and now - self.last_line > SECONDS_BETWEEN_LINES:
                self.last_line = now
                in_epoch = (self.steps_per_epoch - step - 1) / rate
                in_all = (self.epochs * self.steps_per_epoch - self.step) / rate
                self.console.print(
                    f"epoch {epoch + 1}/{self.epochs}  step {step + 1}/{self.steps_per_epoch}  {figures}"
                    f"  {in_epoch:.0f} s left in the epoch, {in_all / 60:.0f} min in all"
                )
        self.bar.update(self.task, advance=1, description=f"epoch {epoch + 1}/{self.epochs}", figures=figures)

    def on_epoch_end(self, epoch, logs=None):
        """Prints the epoch's figures; the time that validation took does not count for the speed."""
        figures = "  ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        self.console.print(f"epoch {epoch + 1}/{self.epochs}  {figures}")
        self.began, self.steps_done = None, 0

    def close(self):
        """Removes the bar, and gives the terminal its cursor back; more than once does no harm."""
        self.bar.stop()
