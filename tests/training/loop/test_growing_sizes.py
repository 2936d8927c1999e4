import keras
import numpy as np
import pytest

import semenet
from semenet.training.loop import checkpoint_callback
from semenet.training.loop.fit import train
from semenet.training.loop.growing_sizes import with_input_size
from semenet.training.losses.partial_loss import PartialLabelCrossentropy
from semenet.training.options import DataOptions, RunOptions

OPTIONS = RunOptions(deterministic=True, checkpoint_every=1, tensorboard=False)


@pytest.fixture
def growing(tiny_recipe):
    return tiny_recipe("seme_resnet50", input_sizes=("32@0.5", "48@0.5"), epochs=4, batch_size=16, ema=0.9)


@pytest.fixture
def sizes_seen(monkeypatch):
    """The input sizes of the batches and of the validations, in order."""
    seen = []
    fit, measure = keras.Model.fit, checkpoint_callback.Validation.measure

    def watched_fit(model, dataset, **arguments):
        seen.append(("fit", dataset.element_spec[0].shape[1]))
        return fit(model, dataset, **arguments)

    def watched_measure(validation, network):
        seen.append(("validation", validation.dataset.element_spec.shape[1]))
        return measure(validation, network)

    monkeypatch.setattr(keras.Model, "fit", watched_fit)
    monkeypatch.setattr(checkpoint_callback.Validation, "measure", watched_measure)
    return seen


def weights_of(run):
    network = run.model
    network.load_weights(run.path / "last.weights.h5")
    return network.get_weights()


@pytest.mark.slow
def test_images_grow_and_a_killed_run_resumes_exactly(growing, phantoms, tmp_path, monkeypatch, sizes_seen):
    whole = train(growing, phantoms, tmp_path / "whole", options=OPTIONS)
    assert sizes_seen == [
        ("fit", 32),
        ("validation", 32),
        ("validation", 32),
        ("fit", 48),
        ("validation", 48),
        ("validation", 48),
    ]
    assert whole.model.input_shape == (None, 48, 48, 1)
    assert whole.history["input_size"].tolist() == [32, 32, 48, 48]
    # Values at other sizes do not compare with those of the last one.
    assert whole.record["best_epoch"] > 2

    steps_an_epoch = 2
    save = checkpoint_callback.CheckpointCallback._save
    for stop in (3, 5):
        # After a step within the last epoch of the first phase, and within the first of the second phase.
        def save_and_stop(callback, metrics, stop=stop):
            save(callback, metrics)
            if callback.epoch * steps_an_epoch + callback.step == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint_callback.CheckpointCallback, "_save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(growing, phantoms, tmp_path / "killed", options=OPTIONS, data=DataOptions(cache="memory"))
    monkeypatch.setattr(checkpoint_callback.CheckpointCallback, "_save", save)
    killed = train(growing, phantoms, tmp_path / "killed", options=OPTIONS)

    for expected, received in zip(weights_of(whole), weights_of(killed), strict=True):
        np.testing.assert_array_equal(received, expected)
    assert (killed.path / "history.csv").read_text() == (whole.path / "history.csv").read_text()


def test_a_network_of_fixed_size_shares_the_layers_of_the_open_one():
    network = semenet.build("seme_resnet50", input_shape=(None, None, 1), width=0.125, depth=0.01)
    network.compile("sgd", PartialLabelCrossentropy())
    fixed = with_input_size(network, 40)
    assert network.compiled
    assert type(fixed) is type(network)
    assert fixed.input_shape == (None, 40, 40, 1)
    assert fixed.class_names == network.class_names
    assert [id(weight) for weight in fixed.weights] == [id(weight) for weight in network.weights]
    x = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 1)).astype("uint8")
    np.testing.assert_array_equal(fixed(x), network(x))


def test_patience_counts_the_epochs_of_the_last_size(tiny_recipe):
    recipe = tiny_recipe("seme_resnet50", input_sizes=("32@0.5", "48@0.5"), epochs=8, patience=2)
    callback = checkpoint_callback.CheckpointCallback.__new__(checkpoint_callback.CheckpointCallback)
    callback.recipe = recipe
    stops = {}
    for epoch, best_epoch in [(4, 1), (5, 1), (6, 1), (6, 5), (7, 5)]:
        callback.epoch, callback.best_epoch = epoch, best_epoch
        stops[epoch, best_epoch] = callback.stops_early
    assert stops == {(4, 1): False, (5, 1): False, (6, 1): True, (6, 5): False, (7, 5): True}
