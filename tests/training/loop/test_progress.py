import io
import itertools
import types

import rich.console

from semenet.training.input_sizes import SizePhase
from semenet.training.loop import progress as fit_progress


def fit(progress_of_run, epochs, steps, start=0):
    """Calls the callback as `fit` does, from a step on."""
    progress_of_run.on_train_begin()
    for epoch in range(start // steps, epochs):
        progress_of_run.on_epoch_begin(epoch)
        for batch in range(start % steps if epoch == start // steps else 0, steps):
            progress_of_run.on_train_batch_end(batch, {"loss": 0.5})
        progress_of_run.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.25})
    progress_of_run.close()


def test_a_log_has_steps_speed_and_remaining_time(monkeypatch):
    monkeypatch.setattr(fit_progress, "SECONDS_BETWEEN_LINES", -1)
    seconds = itertools.count()
    monkeypatch.setattr(fit_progress, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    stream = io.StringIO()
    shown = fit_progress.ProgressCallback(
        [SizePhase(32, 0, 2)], 4, 16, console=rich.console.Console(file=stream, width=200)
    )
    fit(shown, 2, 4)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "first step after 1.0 s, including tracing"
    # One second per step: 16 images/s, two steps left in the epoch and six in total.
    assert lines[1] == (
        "epoch 1/2  step 2/4  loss 0.5000  16.0 images/s  2 s left in this epoch, 0 min left in total"
    )
    assert lines[4] == "epoch 1/2  loss 0.5  val_loss 0.25"
    assert [line.split("  ")[1] for line in lines[5:8]] == ["step 2/4", "step 3/4", "step 4/4"]


def test_a_resumed_run_counts_from_its_step(monkeypatch):
    monkeypatch.setattr(fit_progress, "SECONDS_BETWEEN_LINES", -1)
    stream = io.StringIO()
    shown = fit_progress.ProgressCallback(
        [SizePhase(32, 0, 3)], 4, 16, start=5, console=rich.console.Console(file=stream, width=200)
    )
    fit(shown, 3, 4, start=5)
    steps = [
        line.split("  ")[:2]
        for line in stream.getvalue().splitlines()
        if line.startswith("epoch") and "step" in line
    ]
    assert steps[0] == ["epoch 2/3", "step 3/4"]
    assert steps[-1] == ["epoch 3/3", "step 4/4"]


def test_the_remaining_time_counts_the_pixels_of_growing_images(monkeypatch):
    monkeypatch.setattr(fit_progress, "SECONDS_BETWEEN_LINES", -1)
    seconds = itertools.count(step=60)
    monkeypatch.setattr(fit_progress, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    stream = io.StringIO()
    shown = fit_progress.ProgressCallback(
        [SizePhase(32, 0, 1), SizePhase(64, 1, 2)],
        4,
        16,
        console=rich.console.Console(file=stream, width=200),
    )
    fit(shown, 2, 4)
    lines = stream.getvalue().splitlines()
    # One minute per step: two steps of 32 pixels, and four of 64 pixels, each with four times as many pixels.
    assert lines[1].startswith("epoch 1/2 at 32 pixels  step 2/4")
    assert lines[1].endswith("120 s left in this epoch, 18 min left in total")
    # In the second phase two steps of 64 pixels are left.
    assert lines[5].startswith("epoch 2/2 at 64 pixels  step 2/4")
    assert lines[5].endswith("2 min left in total")
