"""Shows how far a training run or a pass over images is: a bar in a terminal, lines in a log."""

import contextlib
import time

import keras
import rich.console
import rich.progress

SECONDS_BETWEEN_LINES = 10.0


class ShowProgress(keras.callbacks.Callback):
    """Prints epochs, steps, images a second, time left and figures.

    Args:
        steps_per_epoch: int.
        batch_size: int, for the images a second.
        console: `rich.console.Console`; a terminal gets a bar, anything else a line every ten seconds.
    """

    def __init__(self, steps_per_epoch, batch_size, console=None):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.console = console or rich.console.Console(stderr=True, soft_wrap=True)
        self.bar = _bar(self.console)

    def on_train_begin(self, logs=None):
        """Starts the bar."""
        self.steps_done = 0
        self.began = None
        self.bar.start()
        self.task = self.bar.add_task("tracing the network", total=self.steps_per_epoch, figures="")

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the bar back."""
        self.epoch = epoch + 1
        self.bar.reset(self.task, total=self.steps_per_epoch)

    def on_train_batch_end(self, batch, logs=None):
        """Advances; the first step, which traces the network, does not count for the speed."""
        now = time.monotonic()
        if self.began is None:
            self.began = self.last_line = now
        else:
            self.steps_done += 1
        figures = f"loss {logs['loss']:.4f}"
        if self.steps_done:
            rate = self.steps_done / (now - self.began)
            left = (self.steps_per_epoch - batch - 1) / rate
            figures += f"  {rate * self.batch_size:.1f} images/s"
            if not self.console.is_terminal and now - self.last_line > SECONDS_BETWEEN_LINES:
                self.last_line = now
                self.console.print(
                    f"epoch {self.epoch}/{self.params['epochs']}  step {batch + 1}/{self.steps_per_epoch}"
                    f"  {figures}  {left:.0f} s left in the epoch"
                )
        self.bar.update(self.task, advance=1, description=f"epoch {self.epoch}", figures=figures)

    def on_epoch_end(self, epoch, logs=None):
        """Prints the epoch's figures."""
        figures = "  ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        self.console.print(f"epoch {epoch + 1}/{self.params['epochs']}  {figures}")

    def on_train_end(self, logs=None):
        """Removes the bar."""
        self.bar.stop()


def track(batches, total, description, console=None, size=len):
    """Hands on batches of images and shows how many of the images are done, and how fast.

    Args:
        batches: iterable of batches.
        total: int, the number of images.
        description: what is being done, such as "Predicting".
        console: `rich.console.Console`; None for stderr. A terminal gets a bar, anything else a line every
            ten seconds and one at the end.
        size: function from a batch to its number of images.

    Yields:
        The batches.
    """
    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    began = last_line = time.monotonic()
    done = 0
    with _bar(console) as bar:
        task = bar.add_task(description, total=total, figures="")
        for batch in batches:
            yield batch
            done += size(batch)
            now = time.monotonic()
            rate = f"{done / max(now - began, 1e-9):.1f} images/s"
            bar.update(task, completed=done, figures=rate)
            if not console.is_terminal and now - last_line > SECONDS_BETWEEN_LINES:
                last_line = now
                console.print(f"{description}: {done}/{total}  {rate}")
    console.print(f"{description}: {done} images in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def show_steps(description, console=None):
    """Shows how far something is that tells it to a function.

    Args:
        description: what is being done, such as "Reading".
        console: as for `track`.

    Yields:
        A function of the number done and of all.
    """
    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    last_line = time.monotonic()
    with _bar(console) as bar:
        task = bar.add_task(description, total=None, figures="")

        def show(done, total):
            nonlocal last_line
            bar.update(task, completed=done, total=total)
            if not console.is_terminal and time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                console.print(f"{description}: {done}/{total}")

        yield show


def _bar(console):
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[figures]}"),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
