"""What a command shows of its steps."""

import io
import itertools
import subprocess
import sys
import types

import rich.console

from semenet import progress
from semenet.cli.progress import progress_bars


def show_two_steps(console):
    with progress_bars(console) as show:
        show("loading", 0, None)
        show("loading", 1, None)
        for done in range(31):
            show("reading", done, 30)


def test_a_log_gets_a_line_as_a_step_begins_and_one_every_ten_seconds(monkeypatch):
    # A second passes whenever somebody looks.
    seconds = itertools.count()
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    stream = io.StringIO()
    show_two_steps(rich.console.Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    # "reading" begins, and 0 done is the first look: the eleventh comes more than ten seconds after.
    assert lines == ["loading ...", "reading ...", "reading: 10/30", "reading: 21/30"]


def test_a_step_of_unknown_length_is_counted_without_it(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    stream = io.StringIO()
    with progress_bars(rich.console.Console(file=stream)) as show:
        show("converting", 0, None)
        show("converting", 1, None)
    assert stream.getvalue().splitlines() == ["converting ...", "converting: 0", "converting: 1"]


def test_a_terminal_gets_bars_alone():
    stream = io.StringIO()
    show_two_steps(rich.console.Console(file=stream, force_terminal=True, width=80))
    assert "━" in stream.getvalue()
    assert "..." not in stream.getvalue()


def test_commands_that_need_no_network_load_none_for_it():
    script = (
        "import sys\n"
        "from semenet.cli.progress import progress_bars\n"
        "with progress_bars() as show: show('reading', 0, 1)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "reading ...\n")
