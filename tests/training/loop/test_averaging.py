import keras
import numpy as np
import pytest

from semenet.training.loop.averaging import WeightAverage


def network():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.BatchNormalization()])
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    return model


def test_the_average_follows_its_formula_and_covers_moving_statistics():
    model = network()
    average = WeightAverage(model, 0.5)
    expected, momenta = 0.0, [2 / 11, 3 / 12, 4 / 13, 0.5, 0.5]
    for step in (*range(1, 4), 30, 31):
        if step == 30:
            average.steps.assign(29)
        for weight in model.weights:
            weight.assign(np.full(weight.shape, step))
        average.update()
        momentum = momenta.pop(0)
        expected = momentum * expected + (1 - momentum) * step
        for value in average.averages:
            np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6)
    assert len(average.averages) == len(model.weights)


def test_the_average_replaces_the_weights_within_the_block():
    model = network()
    average = WeightAverage(model, 0.9)
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 7.0))

    def use():
        with average.applied():
            assert all((weight.numpy() == 0).all() for weight in model.weights)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert all((weight.numpy() == 7).all() for weight in model.weights)


def test_without_an_average_nothing_changes():
    model = network()
    average = WeightAverage(model, 0.0)
    average.update()
    with average.applied():
        assert all((weight.numpy() == 0).all() for weight in model.weights)
    assert average.variables == []
