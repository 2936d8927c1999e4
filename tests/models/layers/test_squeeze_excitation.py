import keras
import numpy as np
import pytest

from semenet.models.layers.squeeze_excitation import squeeze_excite


def block(channels=32, ratio=16):
    x = keras.Input((None, None, channels))
    return keras.Model(x, squeeze_excite(x, ratio, "se"))


def test_the_output_equals_the_formula():
    model = block(channels=6, ratio=2)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    reduce_kernel, reduce_bias, expand_kernel, expand_bias = model.get_weights()
    x = rng.normal(size=(2, 4, 5, 6)).astype("float32")

    hidden = np.maximum(x.mean((1, 2)) @ reduce_kernel + reduce_bias, 0)
    gate = 1 / (1 + np.exp(-(hidden @ expand_kernel + expand_bias)))

    np.testing.assert_allclose(model(x), x * gate[:, None, None, :], rtol=1e-5, atol=1e-6)


def test_the_block_has_two_dense_layers_with_bias():
    assert block(channels=32, ratio=16).count_params() == 32 * 2 + 2 + 2 * 32 + 32


def test_the_bottleneck_has_at_least_one_unit():
    assert block(channels=8, ratio=16).get_layer("se_reduce").units == 1


def test_large_feature_maps_are_pooled_correctly_in_half_precision():
    """A float16 mean over 256 x 256 positions overflows on the CPU."""
    keras.config.set_dtype_policy("mixed_float16")
    model = block(channels=4, ratio=2)
    pooled = keras.Model(model.input, model.get_layer("se_squeeze").output)
    np.testing.assert_allclose(pooled(np.full((1, 256, 256, 4), 3.0)), 3.0)
    assert model(np.ones((1, 8, 8, 4))).dtype == "float16"


@pytest.mark.parametrize("ratio", [0, -1, 2.0, None])
def test_an_invalid_ratio_raises(ratio):
    with pytest.raises(ValueError, match="se_ratio.*Received"):
        block(ratio=ratio)
