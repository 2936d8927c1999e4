"""Receptive fields compared with values computed by hand, and with the gradient of a linear copy."""

from operator import attrgetter

import keras
import numpy as np
import pytest
import tensorflow as tf
from maintainers_tools import load_tool

import semenet
from semenet.models.receptive_fields import ReceptiveFieldError, cell_field, receptive_field

effective_field, measured_field = attrgetter("effective_field", "measured_field")(
    load_tool("paper/effective_field")
)


def small(name, depth=1.0, shape=(64, 64, 1)):
    return semenet.build(name, input_shape=shape, width=0.125, depth=depth)


def test_vgg19_equals_the_values_computed_by_hand():
    """A convolution adds 2 s and a pooling s, where s is the product of the strides before it."""
    field = receptive_field(small("vgg19_gap"), input_size=(512, 256))
    by_hand = 1 + 2 * 2 * 1 + 1 + 2 * 2 * 2 + 2 + 4 * 2 * 4 + 4 + 4 * 2 * 8 + 8 + 4 * 2 * 16 + 16
    assert by_hand == 268
    assert field.size == (268, 268)
    assert field.stride == (32, 32)
    # A cell of a pooling is centred between its two pixels: 0.5 + 1 + 2 + 4 + 8.
    assert field.start == (15.5, 15.5)
    assert field.cells == (16, 8)
    assert field.input_size == (512, 256)


def test_resnet50_equals_the_values_computed_by_hand():
    """Only the 3 x 3 convolution of a block counts; the stride is before it, in the first 1 x 1."""
    field = receptive_field(small("resnet50_gap"))
    by_hand = 7 + 2 * 2 + 3 * 2 * 4 + 4 * 2 * 8 + 6 * 2 * 16 + 3 * 2 * 32
    assert by_hand == 483
    assert field.size == (483, 483)
    # Every strided window starts half its size before pixel 0: 3 of 7, 1 of 3, 0 of 1.
    assert field.start == (0, 0)
    assert field.stride == (32, 32)


@pytest.mark.slow
def test_densenet169_equals_the_values_computed_by_hand():
    field = receptive_field(small("densenet169_gap", shape=(None, None, 1)), input_size=(224, 224))
    by_hand = 7 + 2 * 2 + 6 * 2 * 4 + 4 + 12 * 2 * 8 + 8 + 32 * 2 * 16 + 16 + 32 * 2 * 32
    assert by_hand == 3351
    assert field.size == (3351, 3351)
    # Three average poolings of two shift the centre by half a cell each, of 4, 8 and 16 pixels.
    assert field.start == (2 + 4 + 8, 14)


def test_gates_of_squeeze_and_excitation_and_moex_are_ignored():
    plain = receptive_field(small("resnet50_gap", 0.1))
    assert receptive_field(small("seme_resnet50", 0.1)) == plain
    with pytest.raises(ReceptiveFieldError, match="depends on the whole image"):
        receptive_field(small("seme_resnet50", 0.1), "conv2_block1_se_squeeze")


def test_a_layer_before_the_features():
    field = receptive_field(small("resnet50_gap", 0.1), "conv1_relu")
    assert (field.size, field.stride, field.start, field.cells) == ((7, 7), (2, 2), (0, 0), (32, 32))


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "start", "cells"),
    [
        # Windows of 3 with stride 2: 8 pixels are padded by one at the end, 7 pixels by one on either side.
        (8, 3, 2, 1.0, 4),
        (7, 3, 2, 0.0, 4),
        # Windows of 5 with stride 3: four cover 14 pixels, so 10 pixels are padded by two on either side.
        (10, 5, 3, 0.0, 4),
        # 11 pixels are padded by three: one at the start.
        (11, 5, 3, 1.0, 4),
    ],
)
@pytest.mark.parametrize("layer", [keras.layers.Conv2D, keras.layers.MaxPooling2D])
def test_same_padding_depends_on_the_size(side, kernel, stride, start, cells, layer):
    arguments = {"strides": stride, "padding": "same", "name": "x"}
    image = keras.Input((None, None, 1))
    made = layer(1, kernel, **arguments) if layer is keras.layers.Conv2D else layer(kernel, **arguments)
    model = keras.Model(image, made(image))
    field = receptive_field(model, "x", (side, side))
    assert (field.size, field.start, field.cells) == ((kernel,) * 2, (start,) * 2, (cells,) * 2)
    for cell in range(cells):
        assert measured_field(model, "x", (cell, 0), (side, side))[0] == (
            max(int(start) + cell * stride - kernel // 2, 0),
            min(int(start) + cell * stride + kernel // 2, side - 1),
        )


def test_height_and_width_are_independent():
    image = keras.Input((20, 30, 1))
    x = keras.layers.Conv2D(1, (3, 5), strides=(1, 2), dilation_rate=1, name="x")(image)
    field = receptive_field(keras.Model(image, x), "x")
    assert (field.size, field.stride, field.start, field.cells) == ((3, 5), (1, 2), (1, 2), (18, 13))
    dilated = keras.layers.Conv2D(1, 3, dilation_rate=4, name="x")(image)
    assert receptive_field(keras.Model(image, dilated), "x").size == (9, 9)


@pytest.mark.parametrize(
    ("kernel", "padding"), [(2, "valid"), (3, "valid"), (3, "same"), (4, "same"), (1, "same")]
)
def test_transposed_convolutions_agree_with_the_gradient(kernel, padding):
    """For every cell. The layer is between two convolutions, so that rows differ by their phase."""
    image = keras.Input((12, 12, 1))
    x = keras.layers.Conv2D(1, 3, padding="same")(image)
    x = keras.layers.Conv2DTranspose(1, kernel, strides=2, padding=padding)(x)
    x = keras.layers.Conv2D(1, 3, padding="same", name="x")(x)
    model = keras.Model(image, x)
    field = receptive_field(model, "x")
    assert field.stride == (0.5, 0.5)
    assert field.cells == x.shape[1:3]
    sizes = []
    for cell in range(8, 12):
        seen = cell_field(model, "x", (cell, 9))
        assert seen == measured_field(model, "x", (cell, 9))
        sizes.append(seen[0][1] - seen[0][0] + 1)
    assert field.size[0] == max(sizes)


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("vgg19_gap", 0.3),
        ("resnet50_gap", 0.1),
        ("se_resnet50", 0.1),
        ("densenet169_gap", 0.01),
        ("unet", 0.5),
    ],
)
def test_the_graph_and_the_gradient_agree(name, depth):
    """In the middle, where the field ends inside the image, and at a border, where padding does not count."""
    model = small(name, depth, (None, None, 1))
    size = (32 * (receptive_field(model, input_size=(64, 64)).size[0] // 32 + 3) + 5, 40)
    cells = receptive_field(model, input_size=size).cells
    for cell in ((cells[0] // 2, cells[1] // 2), (0, cells[1] - 1)):
        assert cell_field(model, "features", cell, size) == measured_field(model, "features", cell, size)


def test_the_gradient_of_gates_is_stopped_and_would_reach_every_row():
    """Checks the measurement itself: with the gradient of the gates every row of the image has a gradient."""
    model = small("se_resnet50", 0.1, (320, 32, 1))
    (top, bottom), _ = measured_field(model)
    assert 0 < top < bottom < 319
    tap = keras.Model(model.inputs[0], model.get_layer("features").output)
    image = tf.random.uniform((1, 320, 32, 1), 0, 255, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = tf.reduce_sum(tap(image)[:, 5, 0])
    reached = np.flatnonzero(tape.gradient(score, image).numpy().any(axis=(0, 2, 3)))
    assert reached[0] < top
    assert reached[-1] > bottom


def test_the_effective_field_is_the_square_with_most_of_the_energy():
    """Kernel (1, 2, 1) on both axes: energies 1, 4, 1 of 6, so that the middle has (4/6)^2 = 0.444."""
    image = keras.Input((9, 9, 1))
    x = keras.layers.Conv2D(1, 3, padding="same", use_bias=False, name="features")(image)
    model = keras.Model(image, x)
    model.get_layer("features").set_weights([np.outer([1, 2, 1], [1, 2, 1])[..., None, None]])
    images = np.random.default_rng(0).integers(256, size=(3, 9, 9, 1))
    side, energy = effective_field(model, images, share=0.44)
    assert side == 1
    assert energy.sum() == pytest.approx(1)
    assert energy[4, 4] == pytest.approx(16 / 36)
    assert effective_field(model, images, share=0.45)[0] == 3
    model.get_layer("features").set_weights([np.zeros((3, 3, 1, 1))])
    with pytest.raises(ValueError, match="needs a gradient"):
        effective_field(model, images)


def test_a_layer_without_a_receptive_field_raises():
    model = small("vgg19_gap", 0.1, (None, None, 1))
    with pytest.raises(ReceptiveFieldError, match=r"Received: \(None, None\).*input_size"):
        receptive_field(model)
    with pytest.raises(ReceptiveFieldError, match=r"Received: 'nothing'.*block5_pool"):
        receptive_field(model, "nothing", (64, 64))
    with pytest.raises(ReceptiveFieldError, match=r"2 x 2\. Received: \(2, 0\)"):
        cell_field(model, "features", (2, 0), (64, 64))
    image = keras.Input((8, 8, 1))
    up = keras.layers.UpSampling2D(name="up")(image)
    with pytest.raises(ReceptiveFieldError, match="'up', a UpSampling2D"):
        receptive_field(keras.Model(image, up), "up")
