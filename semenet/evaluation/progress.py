"""Shows how far a pass over images is: a bar in a terminal, lines in a log."""

import time

import rich.console
import rich.progress

SECONDS_BETWEEN_LINES = 10.0


def track(batches, total, description, *, size=len, console=None):
    """Hands on batches of images and shows how many of the images are done, and how fast.

    Args:
        batches: iterable of the batches.
        total: int, the number of images.
        description: what is being done, such as "Predicting".
        size: function that tells the number of images in a batch.
        console: `rich.console.Console`; None for stderr. A terminal gets a bar, anything else a line every
            ten seconds and one at the end.

    Yields:
        The batches.
    """
    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    bar = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[rate]}"),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    began = last_line = time.monotonic()
    done = 0
    with bar:
        task = bar.add_task(description, total=total, rate="")
        for batch in batches:
            yield batch
            done += size(batch)
            now = time.monotonic()
            rate = f"{done / max(now - began, 1e-9):.1f} images/s"
            bar.update(task, completed=done, rate=rate)
            if not console.is_terminal and now - last_line > SECONDS_BETWEEN_LINES:
                last_line = now
                console.print(f"{description}: {done}/{total}  {rate}")
    seconds = time.monotonic() - began
    console.print(f"{description}: {done} images in {seconds:.1f} s")
