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
    assert lines[3] == (
        "cost: 1.00 s a step of 16 images, 64 images an epoch, 2 epochs: about 4 s to the end, without "
        "validation"
    )
    assert lines[5] == "epoch 1/2  loss 0.5  val_loss 0.25"
    assert [line.split("  ")[1] for line in lines[6:9]] == ["step 2/4", "step 3/4", "step 4/4"]


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
    assert lines[1].startswith("cost: 60.00 s a step")
    assert "about 18 min to the end" in lines[1]
    assert lines[2].startswith("epoch 1/2 at 32 pixels  step 2/4")
    assert lines[2].endswith("120 s left in this epoch, 18 min left in total")
    # In the second phase two steps of 64 pixels are left.
    assert lines[6].startswith("epoch 2/2 at 64 pixels  step 2/4")
    assert lines[6].endswith("2 min left in total")


def progress_of_long_steps(stream, smaller, steps=100):
    return fit_progress.ProgressCallback(
        [SizePhase(512, 0, 80)],
        steps,
        16,
        console=rich.console.Console(file=stream, width=200),
        smaller=smaller,
    )


def test_hours_on_a_cpu_name_the_smaller_training(monkeypatch):
    seconds = itertools.count(step=20)
    monkeypatch.setattr(fit_progress, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    for smaller, lines in (("--input-size 64", 1), (None, 0)):
        stream = io.StringIO()
        shown = progress_of_long_steps(stream, smaller)
        shown.images = 1595
        fit(shown, 1, 100)
        text = stream.getvalue()
        # 80 epochs of 100 steps, two of which are done.
        assert "20.00 s a step of 16 images, 1,595 images an epoch, 80 epochs: about 44 h 26 min" in text
        assert text.count("This takes hours on a CPU. A smaller training first, in minutes:") == lines


def test_a_step_that_takes_long_is_a_lower_limit_of_the_cost(monkeypatch):
    monkeypatch.setattr(fit_progress, "SECONDS_TO_WAIT", 0.05)
    stream = io.StringIO()
    shown = progress_of_long_steps(stream, "--width 0.25")
    shown.on_train_begin()
    shown.on_epoch_begin(0)
    shown.on_train_batch_end(0, {"loss": 0.5})
    shown.cost_timer.join()
    assert "cost: more than 0.05 s a step of 16 images" in stream.getvalue()
    assert "more than 7 min to the end" in stream.getvalue()
    shown.close()


def test_the_end_of_an_epoch_ends_the_waiting(monkeypatch):
    """An epoch of one step is followed by its validation, which is no step."""
    stream = io.StringIO()
    shown = progress_of_long_steps(stream, None, steps=1)
    fit(shown, 2, 1)
    assert shown.cost_timer.finished.is_set()
    assert "cost" not in stream.getvalue()
