"""Runs that wrap networks in memory."""

import numpy as np
import pytest

import semenet
from semenet.errors import WrongTypeError
from semenet.training.run_folder.run import Run


@pytest.fixture
def model():
    return semenet.build("vgg19_gap", input_shape=(32, 40, 1), width=0.0625, classes=("a", "b"))


def test_a_model_is_wrapped_without_a_record(model):
    run = Run.open(model)
    assert run.model is model
    assert (run.path, run.recipe, run.record, run.calibration, run.published) == (None, None, {}, None, None)
    assert run.name == model.name
    assert run.class_names == ("a", "b")
    assert run.input_size == (32, 40)
    assert run.temperature == 1
    assert not run.segments


def test_an_opened_run_is_returned_unchanged(model):
    run = Run.from_model(model)
    assert Run.open(run) is run


def test_the_hash_depends_on_weights_and_architecture(model):
    before = Run.from_model(model).sha256
    assert Run.from_model(model).sha256 == before
    head = model.get_layer("head")
    head.bias.assign(np.float32([0, 1e-3]))
    assert Run.from_model(model).sha256 != before
    head.bias.assign(np.float32([0, 0]))
    assert Run.from_model(model).sha256 == before
    other = semenet.build("vgg19_gap", input_shape=(32, 32, 1), width=0.0625, classes=("a", "b"))
    other.set_weights(model.get_weights())
    assert Run.from_model(other).sha256 != before


@pytest.mark.parametrize("network", [5, None, np.zeros((2, 2))])
def test_other_types_are_rejected(network):
    with pytest.raises(WrongTypeError, match=f"(?s)Received: .* of type {type(network).__name__}"):
        Run.open(network)
