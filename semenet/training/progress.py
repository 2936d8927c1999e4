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
        self.bar = _bar(self.console)

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
