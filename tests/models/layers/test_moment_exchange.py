import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from jax_process import jax_environment
from moment_exchange_reference import exchange, exchange_gradient

from semenet.models.layers.batch_rolling import is_divided, roll_batch
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange, exchange_moments

TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 3e-2, "mixed_float16": 4e-3}
POLICIES = list(TOLERANCES)
HERE = pathlib.Path(__file__).parent
REFERENCES = HERE.parents[1] / "references"


def features(batch=4, seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, (batch, 3, 5, 8)).astype("float32")


def network(p=0.5, lam=0.7, seed=3):
    x = keras.Input((6, 6, 2))
    y = MomentExchange(p, lam, seed=seed, name="moex")(keras.layers.Conv2D(4, 3, name="conv")(x))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(y))
    return MoExModel(x, keras.layers.Dense(3, activation="softmax", dtype="float32")(y))


class RecordLoss(keras.callbacks.Callback):
    """Returns the loss and the mix of each training step; each step is an epoch of one batch."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_epoch_end(self, epoch, logs=None):
        self.steps.append((float(self.model.get_layer("moex").mix.numpy()), logs["loss"]))


def cross_entropy(y, probabilities):
    return -(y * np.log(probabilities)).sum(-1)


@pytest.mark.parametrize("mixed_policy", POLICIES, indirect=True)
def test_outputs_and_both_gradients_equal_the_reference(mixed_policy):
    layer = MomentExchange(p=1.0)
    x = tf.cast(features(), layer.compute_dtype)
    upstream = tf.cast(np.random.default_rng(1).normal(size=x.shape), layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        total = tf.reduce_sum(tf.cast(y, "float32") * tf.cast(upstream, "float32"))
    gradient = tape.gradient(total, x)

    x64, upstream64 = (np.asarray(tensor).astype("float64") for tensor in (x, upstream))
    tolerance = TOLERANCES[mixed_policy]
    assert y.dtype == layer.compute_dtype
    expected = exchange(x64)
    np.testing.assert_allclose(np.asarray(y, "float64"), expected, atol=tolerance * abs(expected).max())
    expected = exchange_gradient(x64, upstream64)
    np.testing.assert_allclose(
        np.asarray(gradient, "float64"), expected, atol=tolerance * abs(expected).max()
    )


def test_the_gradient_of_the_reference_equals_finite_differences():
    x = features(batch=3).astype("float64")
    upstream = np.random.default_rng(1).normal(size=x.shape)
    gradient = exchange_gradient(x, upstream)
    for index in [(0, 0, 0, 0), (1, 2, 4, 7), (2, 1, 3, 5)]:
        step = np.zeros_like(x)
        step[index] = 1e-6
        difference = ((exchange(x + step) - exchange(x - step)) * upstream).sum() / 2e-6
        assert gradient[index] == pytest.approx(difference, rel=1e-5)


def test_half_precision_does_not_overflow():
    x = tf.constant(features() * 400, tf.float16)
    assert np.isfinite(np.asarray(exchange_moments(x))).all()


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_the_layer_is_the_identity_at_inference(p):
    layer = MomentExchange(p)
    x = features()
    layer(x, training=True)
    mix = float(layer.mix.numpy())
    np.testing.assert_array_equal(layer(x, training=False), x)
    np.testing.assert_array_equal(layer(x), x)
    assert float(layer.mix.numpy()) == mix


def test_a_batch_of_one_exchanges_with_itself():
    x = features(batch=1)
    np.testing.assert_allclose(MomentExchange(p=1.0)(x, training=True), x, atol=1e-5)


def test_an_exchange_happens_with_probability_p():
    layer = MomentExchange(p=0.3, lam=0.25, seed=0)
    x = features(batch=2)
    mixes = []
    for _ in range(300):
        y = layer(x, training=True)
        mixes.append(float(layer.mix.numpy()))
        expected = exchange(x.astype("float64")) if mixes[-1] == 0.25 else x
        np.testing.assert_allclose(y, expected, atol=1e-4)
    assert set(mixes) == {0.25, 1.0}
    assert mixes.count(0.25) / 300 == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_mixes_labels_exactly_in_the_steps_with_an_exchange(jit_compile, weighted):
    model = network(p=0.5, lam=0.7)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(5, 6, 6, 2)).astype("float32")
    y = np.eye(3, dtype="float32")[[0, 1, 2, 2, 0]]
    weights = rng.uniform(0.5, 2, 5).astype("float32") if weighted else np.ones(5, "float32")
    kernel, bias = model.get_layer("conv").get_weights()
    record = RecordLoss()

    # A learning rate of 0 keeps the weights, so that the loss of each step can be computed here.
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", jit_compile=jit_compile)
    model.fit(
        x, y, sample_weight=weights if weighted else None, batch_size=5, epochs=16, shuffle=False,
        verbose=0, callbacks=[record],
    )  # fmt: skip

    dense_kernel, dense_bias = model.layers[-1].get_weights()
    convolved = np.asarray(tf.nn.conv2d(x, kernel, 1, "VALID") + bias, "float64")
    for mix, loss in record.steps:
        maps = exchange(convolved) if mix != 1 else convolved
        logits = np.maximum(maps, 0).mean((1, 2)) @ dense_kernel + dense_bias
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        own = (weights * cross_entropy(y, probabilities)).mean()
        partner = (np.roll(weights, 1) * cross_entropy(np.roll(y, 1, 0), probabilities)).mean()
        assert loss == pytest.approx(mix * own + (1 - mix) * partner, rel=1e-5)
    assert {round(mix, 6) for mix, _ in record.steps} == {0.7, 1.0}


@pytest.mark.parametrize(("p", "mix"), [(0.0, 1.0), (1.0, 0.7)])
def test_p_of_0_never_exchanges_and_p_of_1_always(p, mix):
    model = network(p=p)
    record = RecordLoss()
    model.compile("sgd", "categorical_crossentropy")
    x, y = np.ones((4, 6, 6, 2), "float32"), np.eye(3)[[0, 1, 2, 0]]
    model.fit(x, y, epochs=3, verbose=0, callbacks=[record])
    assert [round(step[0], 6) for step in record.steps] == [mix] * 3


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_a_smaller_last_batch_trains(loss):
    model = network()
    model.compile("sgd", loss, metrics=["accuracy"])
    y = np.arange(7) % 3
    y = y if loss.startswith("sparse") else np.eye(3)[y]
    dataset = tf.data.Dataset.from_tensor_slices((features(7)[:, :1, :1, :2].repeat(6, 1).repeat(6, 2), y))
    history = model.fit(dataset.batch(4), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_the_validation_loss_is_not_mixed():
    model = network(p=1.0)
    x, y = np.random.default_rng(0).normal(size=(4, 6, 6, 2)), np.eye(3)[[0, 1, 2, 0]]
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy")
    history = model.fit(x, y, validation_data=(x, y), verbose=0)
    expected = cross_entropy(y, model.predict(x, verbose=0)).mean()
    assert history.history["val_loss"][0] == pytest.approx(expected, rel=1e-5)
    assert history.history["loss"][0] != pytest.approx(expected, rel=1e-3)


def test_losses_of_layers_count_once():
    model = network(p=1.0)
    model.get_layer("conv").kernel.regularizer = keras.regularizers.L2(0.5)
    model.compile("sgd", "categorical_crossentropy")
    x, y = np.ones((4, 6, 6, 2), "float32"), np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    with_regularizer = model.compute_loss(y=y, y_pred=model(x, training=True))
    penalty = 0.5 * float((model.get_layer("conv").kernel.numpy() ** 2).sum())
    model.get_layer("conv").kernel.regularizer = None
    without = model.compute_loss(y=y, y_pred=model(x, training=True))
    assert float(with_regularizer) - float(without) == pytest.approx(penalty, rel=1e-4)


def test_a_model_with_only_losses_of_layers_trains():
    model = network()
    model.get_layer("conv").kernel.regularizer = keras.regularizers.L2(0.5)
    model.compile("sgd")
    assert np.isfinite(model.fit(np.ones((2, 6, 6, 2), "float32"), verbose=0).history["loss"]).all()


def test_the_layer_has_no_parameters_and_can_be_saved_and_cloned(tmp_path):
    model = network(p=0.25, lam=0.6)
    assert model.count_params() == 4 * 19 + 3 * 5
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2))
    for copy in [keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)]:
        assert type(copy) is MoExModel
        assert (copy.get_layer("moex").p, copy.get_layer("moex").lam) == (0.25, 0.6)
        copy.set_weights(model.get_weights())
        np.testing.assert_allclose(copy(x), model(x), rtol=1e-6)


@pytest.mark.parametrize("argument", [{"p": -0.1}, {"p": 1.5}, {"lam": 2.0}, {"lam": float("nan")}])
def test_a_value_outside_0_to_1_raises(argument):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]. Received"):
        MomentExchange(**argument)


@pytest.mark.parametrize("shape", [(3, 5, 8), (4, 8), (2, 3, 3, 3, 8)])
def test_an_input_that_is_not_a_batch_of_feature_maps_raises(shape):
    with pytest.raises(ValueError, match="batch of feature maps.*Received.*batch axis"):
        MomentExchange()(np.ones(shape, "float32"), training=True)


def test_training_a_model_without_the_layer_raises():
    x = keras.Input((4,))
    model = MoExModel(x, keras.layers.Dense(2)(x))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="exactly one MomentExchange"):
        model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)


@pytest.mark.slow
def test_jax_computes_the_same():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed: pip install 'semenet[jax]'")
    environment = jax_environment(PYTHONPATH=str(REFERENCES))
    result = subprocess.run(
        [sys.executable, HERE / "moment_exchange_on_jax.py", *POLICIES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["backend"] == "jax"
    for policy in POLICIES:
        figures = report[policy]
        assert figures["value_error"] < TOLERANCES[policy]
        assert figures["gradient_error"] < TOLERANCES[policy]
        assert set(figures["mixes"]) == {0.7, 1.0}
        np.testing.assert_allclose(
            figures["losses"], figures["expected_losses"], rtol=max(1e-5, TOLERANCES[policy])
        )


def test_on_one_device_the_batch_is_rolled_by_one():
    x = features(batch=5)
    assert not is_divided()
    np.testing.assert_array_equal(roll_batch(tf.constant(x)), np.roll(x, 1, axis=0))


@pytest.mark.slow
def test_on_two_devices_the_whole_batch_is_rolled_by_one():
    result = subprocess.run(
        [sys.executable, HERE / "moment_exchange_on_two_devices.py"],
        env=os.environ | {"PYTHONPATH": str(REFERENCES)},
        capture_output=True,
        text=True,
        check=False,
        timeout=85,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["replicas"] == 2
    assert report["value_error"] < TOLERANCES["float32"]
    assert report["gradient_error"] < TOLERANCES["float32"]
    assert report["labels"] == [5, 0, 1, 2, 3, 4]
