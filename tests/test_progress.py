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


def test_a_transfer_is_shown_in_megabytes(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1)
    stream = io.StringIO()
    with progress.show_transfer("Fetching a[b]", 5_000_000, rich.console.Console(file=stream)) as advance:
        advance(2_000_000)
        advance(9_000_000)
    assert stream.getvalue().splitlines() == ["Fetching a[b], 5.0 MB", "2.0 of 5.0 MB", "5.0 of 5.0 MB"]
    terminal = rich.console.Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress.show_transfer("Fetching", 5_000_000, terminal) as advance:
        advance(5_000_000)
    assert "5.0/5.0 MB" in terminal.file.getvalue()
