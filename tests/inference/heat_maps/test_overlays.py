"""Heat maps on radiographs: resized by hand, and on networks with known maps."""

import warnings

import cv2
import keras
import numpy as np
import pytest

import semenet
from semenet.data.transforms.lung_view_on_host import Box
from semenet.inference.heat_maps.class_activation import grad_cam
from semenet.inference.heat_maps.overlays import (
    cell_geometry,
    overlay_heat_map,
    place_heat_map,
    resize_heat_map,
)
from semenet.models.receptive_fields import ReceptiveField, receptive_field


def test_an_overlay_keeps_pixels_of_value_0_and_colours_the_others():
    image = np.full((8, 8), 90, np.uint8)
    heat = np.zeros((2, 2), np.float32)
    assert (overlay_heat_map(image, heat) == 90).all()
    heat[:, 1] = 1
    picture = overlay_heat_map(image, heat, alpha=1)
    assert picture.shape == (8, 8, 3)
    assert picture.dtype == np.uint8
    assert (picture[:, :2] == 90).all()
    # The last colour of inferno is a light yellow.
    assert (picture[:, 6:] == (252, 255, 164)).all()
    half = overlay_heat_map(image, heat, alpha=0.5)
    assert (half[:, 6:] == (171, 172, 127)).all()


def test_resizing_does_not_shift_the_map():
    heat = np.zeros((4, 4), np.float32)
    heat[1:3, 1:3] = 1
    resized = resize_heat_map(heat, (64, 32))
    assert resized.shape == (64, 32)
    np.testing.assert_allclose(resized, resized[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(resized, resized[:, ::-1], atol=1e-6)


def test_resizing_without_geometry_equals_opencv_bilinear():
    heat = np.random.default_rng(0).random((3, 5), np.float32)
    expected = cv2.resize(heat, (55, 60), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resize_heat_map(heat, (60, 55)), expected, atol=1e-5)


def test_resizing_by_hand():
    """Cells are centred at 1, 5 and 9 of 12 pixels. At half the height, pixel p lies at 2 p + 0.5."""
    geometry = ReceptiveField((5, 5), (4.0, 4.0), (1.0, 1.0), (3, 3), (12, 12))
    heat = np.float32([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    resized = resize_heat_map(heat, (6, 12), geometry)
    rows = [0, 0.375, 0.875, 0.625, 0.125, 0]
    columns = [0, 0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0, 0]
    np.testing.assert_allclose(resized, np.outer(rows, columns), atol=1e-6)


def test_the_map_is_constant_beyond_the_outer_centres():
    geometry = ReceptiveField((5, 5), (4.0, 4.0), (1.0, 1.0), (2, 1), (12, 12))
    resized = resize_heat_map(np.float32([[1], [0.2]]), (12, 12), geometry)
    assert (resized[:2] == 1).all()
    np.testing.assert_allclose(resized[5:], 0.2, atol=1e-6)


def averaging(name, depth):
    """A narrow network whose kernels compute means, and whose class `lit` depends on bright spots only."""
    model = semenet.build(name, classes=("lit", "dark"), input_shape=(256, 256, 1), width=0.125, depth=depth)
    # Black is 0, so that only the spot contributes.
    model.get_layer("rescaling").offset = 0.0
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel"):
            variable.assign(np.full(variable.shape, 1 / np.prod(variable.shape[:-1])))
    head = model.get_layer("head")
    head.kernel.assign(np.tile(np.float32([[1, 0]]), (head.kernel.shape[0], 1)))
    return model


@pytest.mark.parametrize(
    ("name", "depth"), [("vgg19_gap", 0.01), ("resnet50_gap", 0.01), ("densenet169_gap", 0.01)]
)
def test_the_map_has_its_maximum_at_a_bright_spot(name, depth):
    model = averaging(name, depth)
    places = [(row, 352 - 2 * row + 11) for row in range(115, 147, 3)]
    images = np.zeros((len(places), 256, 256, 1), np.uint8)
    for image, (row, column) in zip(images, places, strict=True):
        image[row - 1 : row + 2, column - 1 : column + 2] = 255
    geometry = receptive_field(model)
    offsets, plain = [], []
    for heat, place in zip(grad_cam(model, images, 0), places, strict=True):
        assert heat.any()
        for found, given in ((offsets, geometry), (plain, None)):
            resized = resize_heat_map(heat, (256, 256), given)
            centre = [np.average(np.arange(256), weights=resized.sum(axis=axis)) for axis in (1, 0)]
            found.append(np.subtract(centre, place))
    # Half a cell is 16 pixels.
    assert np.abs(offsets).max() < 16
    assert np.abs(np.mean(offsets, axis=0)).max() < 4
    if name == "resnet50_gap":
        assert np.mean(plain, axis=0).min() > 10, "divided evenly, the map lies below and to the right"


def test_an_unknown_receptive_field_is_treated_as_even_with_a_warning():
    class Run:
        input_size = (8, 8)

        def __init__(self, layer):
            image = keras.Input((8, 8, 1))
            self.model = keras.Model(image, keras.layers.Identity(name="features")(layer(image)))

    with pytest.warns(UserWarning, match=r"divided the image evenly.*UpSampling2D"):
        assert cell_geometry(Run(keras.layers.UpSampling2D())) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cell_geometry(Run(keras.layers.Conv2D(1, 3))).size == (3, 3)


def test_the_map_of_a_part_is_drawn_at_its_place():
    box = Box(10, 20, 31, 50)
    heat = np.array([[0.2, 1.0], [0.4, 0.8]])
    placed = place_heat_map(heat, (60, 80), box=box)
    np.testing.assert_array_equal(placed[10:31, 20:50], resize_heat_map(heat, (21, 30)))
    outside = np.ones((60, 80), bool)
    outside[10:31, 20:50] = False
    assert not placed[outside].any()
    image = np.full((60, 80), 90, np.uint8)
    picture = overlay_heat_map(image, heat, box=box)
    assert (picture[outside] == 90).all()
    np.testing.assert_array_equal(
        picture[10:31, 20:50], overlay_heat_map(image[10:31, 20:50], heat, geometry=None)
    )
    np.testing.assert_array_equal(place_heat_map(heat, (60, 80)), resize_heat_map(heat, (60, 80)))
