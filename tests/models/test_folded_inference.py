import keras
import numpy as np
import pytest

import semenet
from semenet.errors import SemenetError
from semenet.models.entries import CATALOG
from semenet.models.folded_inference import computes_in_float32, inference_network
from semenet.models.layers.moment_exchange import MomentExchange

SMALL = {"width": 0.125, "depth": 0.01}


def trained_like(model, seed=0):
    """Sets the statistics of every batch normalisation to random values, as after training."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.gamma.assign(rng.uniform(0.5, 1.5, shape))
            layer.beta.assign(rng.normal(0, 0.3, shape))
            layer.moving_mean.assign(rng.normal(0, 0.5, shape))
            layer.moving_variance.assign(rng.uniform(0.3, 3, shape))
    return model


def images(channels=1, size=(64, 64)):
    return np.random.default_rng(1).integers(0, 256, (3, *size, channels)).astype("float32")


def kinds(model):
    return {type(layer) for layer in model.layers}


@pytest.mark.parametrize("entry", list(CATALOG))
def test_outputs_equal_those_of_the_trained_network(entry):
    model = trained_like(semenet.build(entry, input_shape=(64, 64, 1), **SMALL))
    network = inference_network(model)
    expected = np.asarray(model(images(), training=False))
    np.testing.assert_allclose(np.asarray(network(images(), training=False)), expected, atol=1e-5)
    # The outputs must differ between images, or the comparison would be weak.
    assert np.ptp(expected) > 1e-3
    assert not {keras.layers.BatchNormalization, MomentExchange} & kinds(network)
    assert network.get_layer("head").name == "head"
    assert network.class_names == model.class_names


@pytest.mark.parametrize("entry", ["se_resnet50", "unet"])
def test_a_normalisation_after_a_convolution_is_folded(entry):
    model = trained_like(semenet.build(entry, input_shape=(64, 64, 1), **SMALL))
    normalisations = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    network = inference_network(model)
    assert len(network.layers) <= len(model.layers) - normalisations


def test_a_normalisation_before_a_convolution_becomes_a_scale_and_a_shift():
    model = trained_like(semenet.build("densenet169_gap", input_shape=(64, 64, 1), **SMALL))
    network = inference_network(model)
    first = next(
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name.endswith("_0_bn")
    )
    assert isinstance(network.get_layer(first), keras.layers.Rescaling)


def test_a_network_trained_in_half_precision_computes_in_float32():
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = trained_like(semenet.build("seme_resnet50", input_shape=(64, 64, 1), **SMALL))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    whole = semenet.build("seme_resnet50", input_shape=(64, 64, 1), **SMALL)
    whole.set_weights(model.get_weights())
    network = inference_network(model)
    assert computes_in_float32(network)
    assert not computes_in_float32(model)
    np.testing.assert_allclose(
        np.asarray(network(images(), training=False)), np.asarray(whole(images(), training=False)), atol=1e-5
    )


def test_an_open_input_is_fixed_and_the_trained_network_is_unchanged():
    model = trained_like(semenet.build("seme_densenet169", input_shape=(None, None, 3), **SMALL))
    before = [weight.copy() for weight in model.get_weights()]
    network = inference_network(model, (64, 48))
    assert network.input_shape == (None, 64, 48, 3)
    picture = images(3, (64, 48))
    np.testing.assert_allclose(
        np.asarray(network(picture, training=False)), np.asarray(model(picture, training=False)), atol=1e-5
    )
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_a_network_that_is_not_functional_with_one_input_and_output_raises():
    with pytest.raises(SemenetError, match="functional keras.Model.*Received: Sequential|with one input"):
        inference_network(keras.Sequential([keras.layers.Dense(2)]))
    taken = keras.Input((4,))
    with pytest.raises(SemenetError, match="one output can be folded.*Received: .* with 2 outputs"):
        inference_network(keras.Model(taken, [taken, keras.layers.Dense(1)(taken)]))
