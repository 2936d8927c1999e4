"""Shows the progress of work on images: a bar in a terminal, lines in a log."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import rich.console
import rich.progress

SECONDS_BETWEEN_LINES = 10.0


class LogLines:
    """Writes progress lines to a log, where a terminal shows a bar.

    Args:
        console: where to write; a terminal gets no lines.
    """

    def __init__(self, console: rich.console.Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def write(self, line: str) -> None:
        """Writes a line."""
        self._last = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(line)

    def write_now_and_then(self, line: str) -> None:
        """Writes a line if the last one is more than ten seconds old."""
        if time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self.write(line)


def track(
    batches: Iterable[Any],
    total: int,
    description: str,
    console: rich.console.Console | None = None,
    size: Callable[[Any], int] = len,
) -> Iterator[Any]:
    """Yields batches of images unchanged, and shows how many images are done and how fast.

    Args:
        batches: the batches.
        total: number of images.
        description: the current work, such as "Predicting".
        console: where to show it; None for standard error. A terminal gets a bar, anything else a line every
            ten seconds and one at the end.
        size: returns a batch's number of images.

    Yields:
        The batches.
    """
    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    began = time.monotonic()
    lines = LogLines(console)
    done = 0
    with progress_bar(console) as bar:
        task = bar.add_task(description, total=total, details="")
        for batch in batches:
            yield batch
            done += size(batch)
            rate = f"{done / max(time.monotonic() - began, 1e-9):.1f} images/s"
            bar.update(task, completed=done, details=rate)
            lines.write_now_and_then(f"{description}: {done}/{total}  {rate}")
    console.print(f"{description}: {done} images in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def show_steps(
    description: str, console: rich.console.Console | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Shows the progress of work that reports it by calling a function.

    Args:
        description: the current work, such as "Reading".
        console: as for `track`.

    Yields:
        A function that takes the number of items done and the total.
    """
    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    lines = LogLines(console)
    with progress_bar(console) as bar:
        task = bar.add_task(description, total=None, details="")

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            lines.write_now_and_then(f"{description}: {done}/{total}")

        yield show


@contextlib.contextmanager
def show_transfer(
    description: str, total: int, console: rich.console.Console | None = None
) -> Iterator[Callable[[int], None]]:
    """Shows the progress of a download: a line at its start, and a bar or a line every ten seconds.

    Args:
        description: the current work, such as "Fetching unet:lung".
        total: number of bytes.
        console: as for `track`.

    Yields:
        A function that takes the number of bytes of each piece.
    """
    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    console.print(f"{description}, {total / 1e6:.1f} MB", highlight=False, markup=False)
    lines = LogLines(console)
    columns = (
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    done = 0
    with rich.progress.Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(description, total=total)

        def advance(size: int) -> None:
            nonlocal done
            done = min(done + size, total)
            bar.update(task, completed=done)
            lines.write_now_and_then(f"{done / 1e6:.1f} of {total / 1e6:.1f} MB")

        yield advance


@contextlib.contextmanager
def step(progress: Callable[[str, int, int | None], None], name: str) -> Iterator[None]:
    """Reports the start of a step of unknown length, and its end.

    Args:
        progress: takes the step's name, the number done and the total; None where it is unknown.
        name: the step's name.
    """
    progress(name, 0, None)
    yield
    progress(name, 1, 1)


def progress_bar(console: rich.console.Console) -> rich.progress.Progress:
    """Returns a progress display whose tasks have the text field `details`; it is drawn only in a terminal.

    Args:
        console: where to draw it.
    """
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[details]}"),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
