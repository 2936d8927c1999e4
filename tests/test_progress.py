import io

import rich.console

from semenet import progress

BATCHES = [[1, 2, 3], [4, 5, 6], [7]]


def test_yields_every_batch_and_prints_a_summary():
    stream = io.StringIO()
    console = rich.console.Console(file=stream)
    assert list(progress.track(BATCHES, 7, "Predicting", console=console)) == BATCHES
    assert stream.getvalue().startswith("Predicting: 7 images in ")


def test_a_log_gets_lines(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    stream = io.StringIO()
    console = rich.console.Console(file=stream)
    pairs = [(batch, None) for batch in BATCHES]
    for _ in progress.track(pairs, 7, "Predicting", size=lambda pair: len(pair[0]), console=console):
        pass
    counts = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert counts == ["3/7", "6/7", "7/7", "7"]


def test_a_terminal_gets_a_bar():
    stream = io.StringIO()
    console = rich.console.Console(file=stream, force_terminal=True, width=100)
    for _ in progress.track(BATCHES, 7, "Predicting", console=console):
        pass
    assert "━" in stream.getvalue()
    assert "7/7" in stream.getvalue()
