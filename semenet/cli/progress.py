"""Progress of a command's steps: bars in a terminal, lines in a log file."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.console


@contextlib.contextmanager
def progress_bars(
    console: "rich.console.Console | None" = None,
) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yields a function that shows the progress of a command's steps on standard error.

    Its arguments are the step's name, the number of items done, and the total number, or None if that is not
    known. In a terminal each step has a bar. Elsewhere a line is printed when a step begins, and then at most
    one every ten seconds.

    Args:
        console: where to print; None for standard error.
    """
    import rich.console
    import rich.progress

    from semenet.progress import LogLines

    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    lines = LogLines(console)
    hidden = not console.is_terminal
    with rich.progress.Progress(console=console, transient=True, disable=hidden) as bars:
        tasks = {}

        def show(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
                lines.write(f"{step} ...")
            bars.update(tasks[step], completed=done, total=total)
            lines.write_now_and_then(f"{step}: {done}" if total is None else f"{step}: {done}/{total}")

        yield show
