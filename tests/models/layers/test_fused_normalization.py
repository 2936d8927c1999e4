import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from jax_process import jax_environment

import semenet
from semenet.models import inference_network
from semenet.models.layers import BatchNormalization

# Largest relative rounding error of a value.
ROUNDING = {"float32": 2**-24, "mixed_float16": 2**-11, "mixed_bfloat16": 2**-8}


def pair(policy="float32", shape=(4, 5, 7, 6), **arguments):
    """Returns Keras' layer and ours with the same random weights."""
    rng = np.random.default_rng(0)
    layers = [
        kind(momentum=0.9, epsilon=1e-3, dtype=policy, **arguments)
        for kind in (keras.layers.BatchNormalization, BatchNormalization)
    ]
    for layer in layers:
        layer.build(shape)
    values = [rng.uniform(0.5, 2, weight.shape) for weight in layers[0].weights]
    for layer in layers:
        layer.set_weights(values)
    return layers


def features(layer, shape, seed=1):
    return tf.cast(np.random.default_rng(seed).normal(3, 2, shape), layer.compute_dtype)


def operations(layer, x, **arguments):
    """Returns the operations of the graph of a call."""
    graph = tf.function(lambda x: layer(x, **arguments)).get_concrete_function(x).graph
    return {operation.type: operation for operation in graph.get_operations()}


def step(layer, x):
    """Returns the output and the gradients of features, scale and offset, as float64 arrays."""
    upstream = features(layer, x.shape, seed=2)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    gradients = tape.gradient(y, [x, layer.gamma.value, layer.beta.value], upstream)
    return [tf.cast(value, "float64").numpy() for value in (y, *gradients)]


@pytest.mark.parametrize("shape", [(4, 5, 7, 6), (1, 3, 4, 6), (2, 33, 32, 6)])
@pytest.mark.parametrize("policy", ROUNDING)
def test_a_training_step_equals_that_of_keras_within_rounding(policy, shape):
    reference, fused = pair(policy)
    x = features(fused, shape)
    assert operations(fused, x, training=True)["FusedBatchNormV3"].get_attr("T") == x.dtype

    # Both compute in float32 and round once; float32 sums over all positions in another order.
    sums = 2**-24 * np.prod(shape[:3])
    for expected, received in zip(step(reference, x), step(fused, x), strict=True):
        scale = abs(expected).max()
        np.testing.assert_allclose(received, expected, rtol=0, atol=(4 * ROUNDING[policy] + 4 * sums) * scale)
    for name in ("moving_mean", "moving_variance"):
        expected, received = getattr(reference, name), getattr(fused, name)
        assert received.dtype == "float32"
        np.testing.assert_allclose(received, expected, rtol=1e-5)


def test_a_training_step_equals_the_formula():
    _, layer = pair()
    x = features(layer, (2, 2, 3, 6))
    gamma, beta, mean, variance = (np.asarray(weight, "float64") for weight in layer.weights)
    values = x.numpy().astype("float64")
    expected = (values - values.mean((0, 1, 2))) / np.sqrt(values.var((0, 1, 2)) + 1e-3) * gamma + beta

    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.9 * mean + 0.1 * values.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * variance + 0.1 * values.var((0, 1, 2)), rtol=1e-5)


def test_a_batch_of_one_position_has_no_variance():
    _, layer = pair()
    variance = layer.moving_variance.numpy()
    y = layer(features(layer, (1, 1, 1, 6)), training=True)
    np.testing.assert_allclose(y[0, 0, 0], layer.beta, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * variance, rtol=1e-6)


@pytest.mark.parametrize("policy", ROUNDING)
def test_inference_equals_that_of_keras_to_the_bit(policy):
    reference, fused = pair(policy)
    x = features(fused, (4, 5, 7, 6))
    np.testing.assert_array_equal(reference(x), fused(x))
    np.testing.assert_array_equal(reference(x, training=False), fused(x, training=False))


def test_a_frozen_layer_normalises_with_its_moving_averages():
    _, layer = pair()
    x = features(layer, (4, 5, 7, 6))
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    for weight, value in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"axis": 1}, (4, 6, 5, 5)),
        ({}, (4, 6)),
        ({}, (4, 5, 6)),
        ({"scale": False}, (4, 5, 7, 6)),
        ({"center": False}, (4, 5, 7, 6)),
        ({"synchronized": True}, (4, 5, 7, 6)),
        ({"renorm": True}, (4, 5, 7, 6)),
    ],
)
def test_other_cases_equal_keras_to_the_bit(arguments, shape):
    reference, layer = pair(shape=shape, **arguments)
    x = features(layer, shape)
    assert "FusedBatchNormV3" not in operations(layer, x, training=True)
    layer.set_weights(reference.get_weights())
    np.testing.assert_array_equal(reference(x, training=True), layer(x, training=True))
    for expected, received in zip(reference.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


def test_masked_positions_are_left_out():
    reference, layer = pair()
    x = features(layer, (4, 5, 7, 6))
    mask = tf.constant(np.random.default_rng(3).random((4, 5, 7)) < 0.5)
    np.testing.assert_array_equal(reference(x, training=True, mask=mask), layer(x, training=True, mask=mask))
    np.testing.assert_array_equal(layer.moving_mean, reference.moving_mean)


def small_network(kind):
    x = keras.Input((8, 8, 3))
    y = kind(name="bn")(keras.layers.Conv2D(4, 3, name="conv")(x))
    network = keras.Model(x, keras.layers.GlobalAveragePooling2D()(y))
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in network.get_weights()])
    return network


@pytest.mark.parametrize("saved", [BatchNormalization, keras.layers.BatchNormalization])
def test_a_keras_file_loads_as_the_layer_that_was_saved(tmp_path, saved):
    network, x = small_network(saved), np.random.default_rng(1).normal(size=(2, 8, 8, 3))
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert type(loaded.get_layer("bn")) is saved
    np.testing.assert_array_equal(loaded(x), network(x))


def test_a_keras_file_loads_without_semenet_as_the_layer_of_keras(tmp_path):
    network = small_network(BatchNormalization)
    network.save(tmp_path / "network.keras")
    program = (
        "import keras, numpy, sys\n"
        "network = keras.saving.load_model('network.keras')\n"
        "assert type(network.get_layer('bn')) is keras.layers.BatchNormalization\n"
        "assert 'semenet' not in sys.modules\n"
        "numpy.save('y.npy', network(numpy.ones((1, 8, 8, 3))))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), network(np.ones((1, 8, 8, 3))))


@pytest.mark.parametrize(
    ("saved", "loaded"),
    [
        (BatchNormalization, keras.layers.BatchNormalization),
        (keras.layers.BatchNormalization, BatchNormalization),
    ],
)
def test_weight_files_load_both_ways(tmp_path, saved, loaded):
    network, other = small_network(saved), small_network(loaded)
    other.set_weights([weight + 1 for weight in other.get_weights()])
    network.save_weights(tmp_path / "network.weights.h5")
    other.load_weights(tmp_path / "network.weights.h5")
    for expected, received in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


def test_networks_and_their_clones_have_this_layer(tmp_path):
    network = semenet.build("seme_densenet169", input_shape=(32, 32, 1), width=0.125, depth=0.01)
    network.save(tmp_path / "network.keras")
    copies = keras.models.clone_model(network), semenet.load_model(tmp_path / "network.keras")
    for model in (network, *copies):
        layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        assert layers
        assert all(type(layer) is BatchNormalization for layer in layers)


def test_files_and_configurations_name_the_layer_of_keras(tmp_path):
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        small_network(kind).save(tmp_path / f"{kind is BatchNormalization}.keras")
    texts = [zipfile.ZipFile(tmp_path / f"{ours}.keras").read("config.json") for ours in (True, False)]
    assert texts[0].count(b'"keras.layers"') == texts[1].count(b'"keras.layers"')
    reference, fused = pair()
    assert fused.get_config() == reference.get_config() | {"name": fused.name}


def test_a_network_folded_for_inference_holds_no_batch_normalisation():
    network = semenet.build("seme_resnet50", input_shape=(32, 32, 1), width=0.125, depth=0.01)
    folded = inference_network(network)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    graph = tf.function(folded).get_concrete_function(tf.zeros((1, 32, 32, 1))).graph
    assert not any("BatchNorm" in operation.type for operation in graph.get_operations())


def test_jax_computes_what_keras_computes(tmp_path):
    program = (
        "import keras, numpy\n"
        "from semenet.models.layers import BatchNormalization\n"
        "assert keras.backend.backend() == 'jax'\n"
        "layers = [kind(dtype='mixed_bfloat16') for kind in (keras.layers.BatchNormalization, "
        "BatchNormalization)]\n"
        "x = numpy.random.default_rng(0).normal(3, 2, (4, 5, 7, 6))\n"
        "first, second = (numpy.asarray(layer(x, training=True), 'float32') for layer in layers)\n"
        "numpy.testing.assert_array_equal(first, second)\n"
        "numpy.testing.assert_array_equal(layers[0].moving_variance, layers[1].moving_variance)"
    )
    environment = jax_environment()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, cwd=tmp_path)
