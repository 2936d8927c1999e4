"""Shows how far a pass over images, or a step, is: a bar in a terminal, lines in a log."""

import contextlib
import time

import rich.console
import rich.progress

SECONDS_BETWEEN_LINES = 10.0


class LogLines:
    """The lines that a log gets where a terminal has a bar.

    Args:
        console: `rich.console.Console`; a terminal gets none of them.
    """

    def __init__(self, console):
        self._console = console
        self._last = time.monotonic()

    def write(self, line):
        """Writes a line, str."""
        self._last = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(line)

    def write_now_and_then(self, line):
        """Writes a line where the last one is more than ten seconds old."""
        if time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self.write(line)


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
    began = time.monotonic()
    lines = LogLines(console)
    done = 0
    with bar(console) as shown:
        task = shown.add_task(description, total=total, figures="")
        for batch in batches:
            yield batch
            done += size(batch)
            rate = f"{done / max(time.monotonic() - began, 1e-9):.1f} images/s"
            shown.update(task, completed=done, figures=rate)
            lines.write_now_and_then(f"{description}: {done}/{total}  {rate}")
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
    lines = LogLines(console)
    with bar(console) as shown:
        task = shown.add_task(description, total=None, figures="")

        def show(done, total):
            shown.update(task, completed=done, total=total)
            lines.write_now_and_then(f"{description}: {done}/{total}")

        yield show


@contextlib.contextmanager
def step(progress, name):
    """Tells of one step that its end is not in sight, and then that it is done."""
    progress(name, 0, None)
    yield
    progress(name, 1, 1)


def bar(console):
    """A `rich.progress.Progress` whose tasks have the field `figures`, str; drawn in a terminal alone.

    Args:
        console: `rich.console.Console`.
    """
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
