"""How far commands are: bars in a terminal, lines in a log."""

import contextlib


@contextlib.contextmanager
def progress_bars(console=None):
    """Gives a function that shows on standard error how far the steps of a command are.

    Its arguments are a step's name, the number done and of all; None where that is not known. A terminal gets
    a bar a step; anything else a line as a step begins, and then one every ten seconds at most.

    Args:
        console: `rich.console.Console`; None for standard error.
    """
    import rich.console
    import rich.progress

    from semenet.progress import LogLines

    console = console or rich.console.Console(stderr=True, soft_wrap=True)
    lines = LogLines(console)
    hidden = not console.is_terminal
    with rich.progress.Progress(console=console, transient=True, disable=hidden) as bars:
        tasks = {}

        def show(step, done, total):
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
                lines.write(f"{step} ...")
            bars.update(tasks[step], completed=done, total=total)
            lines.write_now_and_then(f"{step}: {done}" if total is None else f"{step}: {done}/{total}")

        yield show
