"""Moments that are exchanged while nothing mixes labels: a warning, once, and none where they are mixed."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from semenet.models.layers.label_mixing import MoExWarning
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange

X = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
Y = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]


def network(p=0.5):
    image = keras.Input((8, 8, 1))
    x = MomentExchange(p=p, name="moex")(keras.layers.Conv2D(4, 3)(image))
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    return MoExModel(image, keras.layers.Dense(2, activation="softmax")(x))


def new_head(model_class, base, frozen=False):
    base.trainable = not frozen
    pooled = base.get_layer("pooled").output
    return model_class(base.input, keras.layers.Dense(2, activation="softmax")(pooled))


def around(model_class, base):
    image = keras.Input((8, 8, 1))
    return model_class(image, keras.layers.Dense(2, activation="softmax")(base(image)))


def fitted(model):
    model.compile("sgd", "categorical_crossentropy")
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0)
    return model


def moex_warnings(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(warning.message) for warning in caught if warning.category is MoExWarning]


@pytest.mark.parametrize(
    "build",
    [
        lambda: new_head(keras.Model, network()),
        lambda: new_head(keras.Model, network(), frozen=True),
        lambda: new_head(keras.Model, fitted(network())),
        lambda: around(keras.Model, network()),
        lambda: keras.Sequential([network(), keras.layers.Dense(2, activation="softmax")]),
    ],
    ids=["new head", "frozen", "fitted before", "nested", "sequential"],
)
def test_a_network_that_does_not_mix_labels_is_named_once(build):
    found = moex_warnings(lambda: fitted(build()))
    assert len(found) == 1
    assert "the layer 'moex' in" in found[0]
    assert "compute_loss" in found[0]


@pytest.mark.parametrize(
    "build",
    [
        network,
        lambda: new_head(MoExModel, network()),
        lambda: around(MoExModel, network()),
        lambda: around(keras.Model, network(p=0.0)),
    ],
    ids=["as built", "new head", "nested", "switched off"],
)
def test_a_network_that_mixes_labels_is_not_warned_of(build):
    assert not moex_warnings(lambda: fitted(build()))


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("mixes", [False, True])
def test_a_loop_of_one_s_own_is_noticed_in_its_first_step(in_graph, mixes):
    model = network()
    model.compile("sgd", "categorical_crossentropy")

    def step(x, y):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            if mixes:
                loss = model.compute_loss(x, y, y_pred, training=True)
            else:
                loss = keras.losses.CategoricalCrossentropy()(y, y_pred)
        return tape.gradient(loss, model.trainable_variables)

    found = moex_warnings(lambda: (tf.function(step) if in_graph else step)(tf.constant(X), tf.constant(Y)))
    assert len(found) == (0 if mixes else 1)


def test_predictions_and_validation_are_not_warned_of():
    model = network()
    assert not moex_warnings(lambda: [model.predict(X, verbose=0), model(X, training=False)])


def test_labels_of_a_network_around_one_with_moex_are_mixed():
    model = around(MoExModel, network(p=1.0))
    model.compile("sgd", "categorical_crossentropy")
    y_pred = model(X, training=True)
    mixed = float(model.compute_loss(X, Y, y_pred, training=True))
    own, partner = (
        float(keras.losses.CategoricalCrossentropy()(y, y_pred)) for y in (Y, np.roll(Y, 1, axis=0))
    )
    assert mixed == pytest.approx(0.9 * own + 0.1 * partner, rel=1e-5)
