"""The layers that heat maps are computed from, by name and by stride."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import semenet
from semenet.errors import SemenetError
from semenet.inference.heat_maps.explained_layers import feature_map, layer_name, layers_by_stride
from semenet.inference.heat_maps.graphs import feature_gradients


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg19", {2: "block2_conv2", 8: "block4_conv4", 16: "block5_conv4", 32: "features"}),
        ("resnet50", {2: "conv1_relu", 4: "conv2_block1_out", 16: "conv4_block1_out", 32: "features"}),
        ("seme_resnet50", {2: "conv1_relu", 4: "conv2_block1_out", 16: "conv4_block1_out", 32: "features"}),
        ("seme_densenet169", {2: "conv1_relu", 4: "pool2_relu", 8: "pool3_relu", 32: "features"}),
    ],
)
def test_a_stride_stands_for_the_last_map_before_the_next_downsampling(name, expected):
    model = semenet.build(name, input_shape=(64, 64, 1), width=0.125)
    found = layers_by_stride(model)
    assert expected.items() <= found.items()
    for stride, layer in expected.items():
        assert layer_name(model, stride) == layer_name(model, str(stride)) == layer
        assert model.get_layer(layer).output.shape[1] == 64 // stride
    assert feature_map(model, 8) is model.get_layer(found[8])


def test_every_cell_of_these_layers_has_a_gradient():
    """Of the last layer before a 1 x 1 convolution of stride 2, only a quarter of the cells has one."""
    model = semenet.build("resnet50_gap", input_shape=(64, 64, 1), width=0.125)
    images = tf.random.stateless_uniform((2, 64, 64, 1), (1, 2), 0, 255)
    shares = {}
    for layer in ("conv3_block4_out", layer_name(model, 8)):
        _, gradient, _ = feature_gradients(model, layer)(images, tf.constant([0, 0]))
        shares[layer] = float(np.mean(np.any(gradient != 0, axis=-1)))
    assert shares["conv3_block4_out"] == 0.25
    assert shares["conv3_block1_out"] > 0.95


def test_layers_inside_a_branch_are_not_offered():
    """Both branches have a ReLU, but neither alone leads to the output."""
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(2, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    left = keras.layers.Conv2D(2, 3, padding="same", activation="relu", name="left")(x)
    right = keras.layers.Conv2D(2, 3, padding="same", activation="relu", name="right")(x)
    x = keras.layers.Add(name="add")([left, right])
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, name="head")(x))
    assert layers_by_stride(model) == {2: "stem"}
    assert layer_name(model, "left") == "left", "by its name, any layer can be explained"


def test_networks_of_any_input_size_have_strides():
    model = semenet.build("resnet50_gap", input_shape=(None, None, 1), width=0.125, depth=0.01)
    assert layer_name(model, 32) == "features"


def test_an_unknown_layer_is_answered_with_the_nearest_names():
    model = semenet.build("seme_resnet50", input_shape=(64, 64, 1), width=0.125, depth=0.01)
    with pytest.raises(
        SemenetError, match=r"'conv4_block_out'.*Did you mean .*conv4_block1_out.*by stride: 2"
    ):
        layer_name(model, "conv4_block_out")
    with pytest.raises(SemenetError, match=r"Received: 5 .*by stride: 2 \(conv1_relu\), .*32 \(features\)"):
        layer_name(model, 5)
