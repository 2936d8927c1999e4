"""Transforms against OpenCV, exact arithmetic in float64, and each other's modes."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from semenet.data.transforms import eager as transforms
from semenet.data.transforms import host as host_transforms

ANY_SIZE = tf.TensorSpec((None, None, 1), tf.uint8)


def textures(height, width):
    generator = np.random.default_rng(height * 1000 + width)
    smooth = cv2.GaussianBlur(generator.normal(size=(height, width)), (0, 0), 9)
    span = max(np.ptp(smooth), 1e-9)
    return {
        "noise": generator.integers(0, 256, (height, width), dtype=np.uint8),
        "smooth": ((smooth - smooth.min()) / span * 255).astype(np.uint8),
        "ramp": np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width)),
        "flat": np.full((height, width), 77, np.uint8),
        "two_levels": (generator.random((height, width)) > 0.5).astype(np.uint8) * 255,
    }


def modes(function, images):
    """What a function gives of each image eagerly, in a dataset and in a graph of any size."""
    dataset = iter(tf.data.Dataset.from_tensor_slices(np.stack(images)).map(function))
    graph = tf.function(function, input_signature=[ANY_SIZE])
    return [(function(image).numpy(), next(dataset).numpy(), graph(image).numpy()) for image in images]


SIZES = [(1, 1), (1, 40), (7, 9), (8, 8), (33, 33), (64, 97), (97, 64), (96, 96), (100, 101), (17, 250)]


@pytest.mark.parametrize("size", [*SIZES, (224, 224), (512, 512), (513, 757)])
def test_clahe_is_opencvs_bit_for_bit_in_every_mode(size):
    by_name = textures(*size)
    images = [texture[..., np.newaxis] for texture in by_name.values()]
    for function in (transforms.clahe, transforms.clahe_graph):
        for (name, texture), results in zip(by_name.items(), modes(function, images), strict=True):
            expected = cv2.createCLAHE(2.0, (8, 8)).apply(texture)[..., np.newaxis]
            for result in results:
                np.testing.assert_array_equal(result, expected, f"{name} {function.__name__}")


@pytest.mark.parametrize(
    ("clip_limit", "tiles"), [(4.0, (4, 8)), (0.0, (8, 8)), (40.0, (3, 5)), (0.01, (2, 2)), (1.3, (1, 1))]
)
def test_clahe_is_opencvs_for_other_arguments(clip_limit, tiles):
    for size in ((64, 96), (45, 101)):
        for texture in textures(*size).values():
            expected = cv2.createCLAHE(clip_limit, tiles).apply(texture)[..., np.newaxis]
            image = texture[..., np.newaxis]
            np.testing.assert_array_equal(transforms.clahe(image, clip_limit, tiles), expected)
            np.testing.assert_array_equal(transforms.clahe_graph(image, clip_limit, tiles), expected)


@pytest.mark.parametrize("size", [(130, 99), (64, 64), (300, 257)])
def test_saved_graphs_give_opencvs_pixels_without_opencv(tmp_path, size):
    module = tf.Module()
    module.clahe = tf.function(transforms.clahe_graph, input_signature=[ANY_SIZE])
    module.equalize = tf.function(transforms.equalize_graph, input_signature=[ANY_SIZE])
    module.resize = tf.function(lambda image: transforms.resize(image, (64, 80)), input_signature=[ANY_SIZE])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    image = textures(*size)["smooth"]
    for name, expected in (
        ("clahe", cv2.createCLAHE(2.0, (8, 8)).apply(image)),
        ("equalize", cv2.equalizeHist(image)),
        ("resize", host_transforms.resize(image, (64, 80))),
    ):
        np.testing.assert_array_equal(getattr(loaded, name)(image[..., np.newaxis])[..., 0], expected, name)


def test_clahe_from_many_threads_is_the_same():
    image = textures(128, 128)["noise"][..., np.newaxis]
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(image[..., 0])
    dataset = tf.data.Dataset.from_tensors(image).repeat(64)
    for result in dataset.map(transforms.clahe, num_parallel_calls=8):
        np.testing.assert_array_equal(result[..., 0], expected)


def triangle_weights(old, new, widens):
    """The triangle filter, half-pixel centres, in float64: (new, old)."""
    scale = old / new
    reach = max(scale, 1.0) if widens else 1.0
    centre = (np.arange(new)[:, np.newaxis] + 0.5) * scale - 0.5
    if not widens:
        # Beyond the first and last pixel lies that pixel itself.
        centre = np.clip(centre, 0, old - 1)
    weights = np.maximum(0, 1 - np.abs(np.arange(old) - centre) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("old", "new", "widens"),
    [
        ((97, 131), (64, 64), True),
        ((64, 200), (64, 50), True),
        ((64, 97), (64, 64), True),
        ((64, 96), (64, 64), False),
        ((40, 30), (64, 96), False),
        ((90, 50), (61, 50), False),
    ],
)
def test_resize_is_bilinear_and_widens_where_a_side_shrinks_much(old, new, widens):
    by_name = textures(*old).values()
    images = [texture[..., np.newaxis] for texture in by_name]
    for texture, results in zip(
        by_name, modes(lambda image: transforms.resize(image, new), images), strict=True
    ):
        down, across = (triangle_weights(*sides, widens) for sides in zip(old, new, strict=True))
        exact = down @ texture @ across.T
        assert results[0].dtype == np.uint8
        assert results[0].shape == (*new, 1)
        directions = sum(before != after for before, after in zip(old, new, strict=True))
        # Widening rounds once in each direction; otherwise weights are in 256ths, half of which is off by at
        # most half a grey level in each direction, and rounding comes once.
        tolerance = 0.5 * directions if widens else 0.5 + 0.5 * directions
        assert np.abs(results[0][..., 0] - exact).max() < tolerance + 0.001
        np.testing.assert_array_equal(results[1], results[0])
        np.testing.assert_array_equal(results[2], results[0])


def test_resize_leaves_no_trace_of_stripes_too_fine_to_show():
    stripes = np.tile(np.array([[0, 255]], np.uint8), (64, 512))[..., np.newaxis]
    resized = transforms.resize(stripes, (64, 300)).numpy()
    assert resized[:, 2:-2].std() < 30
    assert transforms.resize(stripes, (64, 100)).numpy()[:, 2:-2].std() < 5


def test_resize_weighs_by_hand():
    # Halving weighs four pixels by 1/8, 3/8, 3/8, 1/8 (three at the ends, by as much over their sum):
    # 12/7, 1/2, 3/2 and 4/7; halves are rounded up.
    image = np.array([[0, 4, 0, 0, 0, 4, 0, 0]], np.uint8)
    halves = transforms.resize(image[..., np.newaxis], (1, 4))
    np.testing.assert_array_equal(halves[0, :, 0], [2, 1, 2, 1])


def test_host_and_graph_resize_to_the_same_bits():
    generator = np.random.default_rng(1)
    graph = tf.function(
        lambda image, size: transforms.resize(image, tf.unstack(size)),
        input_signature=[ANY_SIZE, tf.TensorSpec((2,), tf.int32)],
    )
    for number in range(300):
        old, new = generator.integers(1, (300, 200) if number % 10 else (2500, 600), (2, 2)).T
        # Of two grey levels alone, where every rounding shows.
        image = generator.integers(0, 2, old, dtype=np.uint8) * np.uint8(255)
        mask_to = generator.integers(1, 99, 2)
        expected = host_transforms.resize(image, tuple(map(int, new)))
        np.testing.assert_array_equal(graph(image[..., np.newaxis], new)[..., 0], expected)
        mask = transforms.resize(image[..., np.newaxis], tuple(map(int, mask_to)), mask=True)
        np.testing.assert_array_equal(mask[..., 0], host_transforms.resize_mask(image, mask_to))


@pytest.mark.slow
def test_resize_compiled_by_xla_gives_the_same_bits():
    image = textures(97, 131)["noise"]
    compiled = tf.function(lambda image: transforms.resize(image, (64, 80)), jit_compile=True)
    np.testing.assert_array_equal(
        compiled(image[..., np.newaxis])[..., 0], host_transforms.resize(image, (64, 80))
    )


@pytest.mark.parametrize("size", [*SIZES, (512, 512), (513, 757)])
def test_equalize_is_opencvs_bit_for_bit_in_every_mode(size):
    by_name = textures(*size)
    images = [texture[..., np.newaxis] for texture in by_name.values()]
    for function in (transforms.equalize, transforms.equalize_graph):
        for (name, texture), results in zip(by_name.items(), modes(function, images), strict=True):
            for result in results:
                np.testing.assert_array_equal(result[..., 0], cv2.equalizeHist(texture), name)


def test_resize_to_the_same_size_changes_nothing():
    image = textures(50, 70)["noise"][..., np.newaxis]
    np.testing.assert_array_equal(transforms.resize(image, (50, 70)), image)


def test_masks_are_resized_without_mixing():
    mask = (textures(60, 80)["smooth"] > 120).astype(np.uint8)
    [results] = modes(lambda mask: transforms.resize(mask, (30, 40), mask=True), [mask[..., np.newaxis]])
    # The nearest to a halved pixel's centre is the odd one of the two: 2 i + 0.5 rounds up.
    for result in results:
        np.testing.assert_array_equal(result[..., 0], mask[1::2, 1::2])


def source_positions(size, degrees):
    height, width = size
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    dx, dy = columns - (width - 1) / 2, rows - (height - 1) / 2
    angle = np.deg2rad(degrees)
    x = np.cos(angle) * dx - np.sin(angle) * dy + (width - 1) / 2
    y = np.sin(angle) * dx + np.cos(angle) * dy + (height - 1) / 2
    return x, y


def rotated_exactly(image, degrees, fill):
    """Bilinear rotation in float64; outside the image lies the fill."""
    padded = np.pad(image.astype(np.float64), 2, constant_values=fill)
    x, y = source_positions(image.shape, degrees)
    x = np.clip(x, -2, image.shape[1]) + 2
    y = np.clip(y, -2, image.shape[0]) + 2
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = np.minimum(left + 1, padded.shape[1] - 1), np.minimum(top + 1, padded.shape[0] - 1)
    u, v = x - left, y - top
    upper = padded[top, left] * (1 - u) + padded[top, right] * u
    lower = padded[below, left] * (1 - u) + padded[below, right] * u
    return upper * (1 - v) + lower * v


@pytest.mark.parametrize("size", [(512, 512), (97, 131)])
@pytest.mark.parametrize("degrees", [-30, -7.3, 0, 13, 30])
def test_rotation_is_within_one_grey_level_of_exact(size, degrees):
    by_name = [textures(*size)[name] for name in ("noise", "smooth")]
    images = [texture[..., np.newaxis] for texture in by_name]
    for fill in (0, 200):

        def turn(image, fill=fill):
            return transforms.rotate(image, degrees, fill=fill)

        for texture, results in zip(by_name, modes(turn, images), strict=True):
            exact = rotated_exactly(texture, degrees, fill)
            for result in results:
                assert np.abs(result[..., 0] - exact).max() < 0.52


def test_rotation_turns_counter_clockwise():
    image = np.zeros((5, 5, 1), np.uint8)
    image[2, 4] = 9
    quarter = transforms.rotate(image, 90.0).numpy()[..., 0]
    assert quarter[0, 2] == 9
    assert quarter.sum() == 9
    np.testing.assert_array_equal(quarter, np.rot90(image[..., 0]))


@pytest.mark.parametrize("degrees", [-30, 11.7, 30])
def test_the_mask_turns_with_its_image(degrees):
    mask = (textures(120, 150)["smooth"] > 120).astype(np.uint8)
    image = mask * np.uint8(255)
    turned, turned_mask = transforms.rotate(image[..., np.newaxis], degrees, mask=mask[..., np.newaxis])
    alone = transforms.rotate(image[..., np.newaxis], degrees)
    np.testing.assert_array_equal(turned, alone)
    assert set(np.unique(turned_mask)) == {0, 1}
    x, y = source_positions(mask.shape, degrees)
    column, row = np.floor(x + 0.5).astype(int), np.floor(y + 0.5).astype(int)
    inside = (row >= 0) & (row < 120) & (column >= 0) & (column < 150)
    nearest = np.where(inside, mask[row.clip(0, 119), column.clip(0, 149)], 0)
    assert (turned_mask.numpy()[..., 0] != nearest).mean() < 1e-3
    # Where the image is wholly in or out of the mask's shape, the mask says the same.
    sure = np.isin(turned.numpy(), (0, 255))
    np.testing.assert_array_equal(turned_mask.numpy()[sure] * 255, turned.numpy()[sure])


def test_what_lies_outside_comes_in_as_fill_and_never_as_mask():
    image, mask = np.full((40, 40, 1), 100, np.uint8), np.ones((40, 40, 1), np.uint8)
    turned, turned_mask = transforms.rotate(image, 45.0, mask=mask, fill=30)
    assert turned.numpy()[0, 0, 0] == 30
    assert turned_mask.numpy()[0, 0, 0] == 0
    assert turned.numpy()[20, 20, 0] == 100


def test_keep_mask_blackens_what_is_outside():
    image = np.array([[[5], [6]], [[7], [8]]], np.uint8)
    mask = np.array([[[1], [0]], [[255], [0]]], np.uint8)
    np.testing.assert_array_equal(transforms.keep_mask(image, mask)[..., 0], [[5, 0], [7, 0]])
    with pytest.raises(ValueError, match="one size"):
        transforms.keep_mask(image, mask[:1])


@pytest.mark.parametrize(
    "transform",
    [
        transforms.clahe,
        transforms.clahe_graph,
        transforms.equalize,
        transforms.equalize_graph,
        lambda image: transforms.resize(image, (8, 8)),
        lambda image: transforms.rotate(image, 5),
        lambda image: transforms.keep_mask(image, image),
    ],
)
@pytest.mark.parametrize(
    "image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 1), np.float32)]
)
def test_wrong_images_are_refused_with_the_rule(transform, image):
    with pytest.raises(ValueError, match=r"uint8 of shape \(height, width, 1\). Received"):
        transform(image)


def test_wrong_arguments_are_refused_with_the_rule():
    image = np.zeros((9, 9, 1), np.uint8)
    for clip_limit, tiles in ((-1, (8, 8)), (2.0, (0, 8))):
        with pytest.raises(ValueError, match="clip_limit"):
            transforms.clahe(image, clip_limit, tiles)
    with pytest.raises(ValueError, match="fill"):
        transforms.rotate(image, 5, fill=256)
