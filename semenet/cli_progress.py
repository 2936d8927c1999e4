"""Progress bars of commands."""

import contextlib


@contextlib.contextmanager
def progress_bars():
    """Gives a function that draws bars on standard error.

    Its arguments are a step's name, the number done and of all; None where that is not known.
    """
    import rich.console
    import rich.progress

    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bars:
        tasks = {}

        def show(step, done, total):
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show
