"""Host and in-graph transforms against OpenCV, exact arithmetic in float64, and each other."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from textures import textures, triangle_weights

from semenet.data.transforms import host, in_graph
from semenet.data.transforms.host_calls import host_call
from semenet.errors import SemenetError

ANY_SIZE = tf.TensorSpec((None, None), tf.uint8)
SIZES = [(1, 1), (1, 40), (7, 9), (8, 8), (33, 33), (64, 97), (97, 64), (96, 96), (100, 101), (17, 250)]


def on_host(function):
    """Wraps a function of arrays as a function of tensors that TensorFlow calls on the host."""

    def call(image):
        image = tf.convert_to_tensor(image)
        return tf.ensure_shape(
            tf.numpy_function(host_call(function), [image], tf.uint8, stateful=False), image.shape
        )

    return call


def in_every_mode(function, images):
    """Applies a function to each image eagerly, in a dataset, and in a tf.function of any image size."""
    dataset = iter(tf.data.Dataset.from_tensor_slices(np.stack(images)).map(function))
    graph = tf.function(function, input_signature=[ANY_SIZE])
    return [(function(image).numpy(), next(dataset).numpy(), graph(image).numpy()) for image in images]


@pytest.mark.parametrize("function", [on_host(host.clahe), in_graph.clahe], ids=["host", "graph"])
@pytest.mark.parametrize("size", [*SIZES, (224, 224), (512, 512), (513, 757)])
def test_clahe_equals_opencv_bit_for_bit_in_every_mode(size, function):
    by_name = textures(*size)
    for (name, texture), results in zip(
        by_name.items(), in_every_mode(function, list(by_name.values())), strict=True
    ):
        expected = cv2.createCLAHE(2.0, (8, 8)).apply(texture)
        for result in results:
            np.testing.assert_array_equal(result, expected, name)


@pytest.mark.parametrize(
    ("clip_limit", "tiles"), [(4.0, (4, 8)), (0.0, (8, 8)), (40.0, (3, 5)), (0.01, (2, 2)), (1.3, (1, 1))]
)
def test_clahe_equals_opencv_for_other_arguments(clip_limit, tiles):
    for size in ((64, 96), (45, 101)):
        for texture in textures(*size).values():
            expected = cv2.createCLAHE(clip_limit, tiles).apply(texture)
            np.testing.assert_array_equal(host.clahe(texture, clip_limit, tiles), expected)
            np.testing.assert_array_equal(in_graph.clahe(texture, clip_limit, tiles), expected)


@pytest.mark.parametrize("size", [(130, 99), (64, 64), (300, 257)])
def test_saved_graphs_compute_the_pixels_of_opencv_without_opencv(tmp_path, size):
    module = tf.Module()
    module.clahe = tf.function(in_graph.clahe, input_signature=[ANY_SIZE])
    module.equalize = tf.function(in_graph.equalize, input_signature=[ANY_SIZE])
    module.resize = tf.function(lambda image: in_graph.resize(image, (64, 80)), input_signature=[ANY_SIZE])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    image = textures(*size)["smooth"]
    for name, expected in (
        ("clahe", cv2.createCLAHE(2.0, (8, 8)).apply(image)),
        ("equalize", cv2.equalizeHist(image)),
        ("resize", host.resize(image, (64, 80))),
    ):
        np.testing.assert_array_equal(getattr(loaded, name)(image), expected, name)


def test_clahe_from_many_threads_is_the_same():
    image = textures(128, 128)["noise"]
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(image)
    dataset = tf.data.Dataset.from_tensors(image).repeat(64)
    for function in (on_host(host.clahe), in_graph.clahe):
        for result in dataset.map(function, num_parallel_calls=8):
            np.testing.assert_array_equal(result, expected)


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
def test_resize_is_bilinear_and_its_filter_widens_where_a_side_shrinks_much(old, new, widens):
    by_name = list(textures(*old).values())
    resized = in_every_mode(lambda image: in_graph.resize(image, new), by_name)
    for texture, results in zip(by_name, resized, strict=True):
        down, across = (triangle_weights(*sides, widens) for sides in zip(old, new, strict=True))
        exact = down @ texture @ across.T
        directions = sum(before != after for before, after in zip(old, new, strict=True))
        # The widening filter rounds once in each direction. Otherwise weights are in 256ths, half of which is
        # an error of at most half a grey level in each direction, and the result is rounded once.
        tolerance = 0.5 * directions if widens else 0.5 + 0.5 * directions
        for result in (host.resize(texture, new), *results):
            assert result.dtype == np.uint8
            assert result.shape == new
            assert np.abs(result - exact).max() < tolerance + 0.001
        for result in results:
            np.testing.assert_array_equal(result, host.resize(texture, new))


@pytest.mark.parametrize("resize", [host.resize, in_graph.resize], ids=["host", "graph"])
def test_resize_removes_stripes_that_are_too_fine_to_show(resize):
    stripes = np.tile(np.array([[0, 255]], np.uint8), (64, 512))
    assert np.asarray(resize(stripes, (64, 300)))[:, 2:-2].std() < 30
    assert np.asarray(resize(stripes, (64, 100)))[:, 2:-2].std() < 5


@pytest.mark.parametrize("resize", [host.resize, in_graph.resize], ids=["host", "graph"])
def test_resize_weights_worked_out_by_hand(resize):
    # Halving weights four pixels by 1/8, 3/8, 3/8, 1/8 (at the ends three pixels, divided by the sum of their
    # weights): 12/7, 1/2, 3/2 and 4/7; halves are rounded up.
    image = np.array([[0, 4, 0, 0, 0, 4, 0, 0]], np.uint8)
    np.testing.assert_array_equal(resize(image, (1, 4))[0], [2, 1, 2, 1])


def test_host_and_graph_resize_to_the_same_bits():
    generator = np.random.default_rng(1)
    graph = tf.function(
        lambda image, size: in_graph.resize(image, tf.unstack(size)),
        input_signature=[ANY_SIZE, tf.TensorSpec((2,), tf.int32)],
    )
    for number in range(300):
        old, new = generator.integers(1, (300, 200) if number % 10 else (2500, 600), (2, 2)).T
        # Two grey levels only, where every rounding shows.
        image = generator.integers(0, 2, old, dtype=np.uint8) * np.uint8(255)
        mask_size = tuple(map(int, generator.integers(1, 99, 2)))
        expected = host.resize(image, tuple(map(int, new)))
        np.testing.assert_array_equal(graph(image, new), expected)
        mask = in_graph.resize_mask(image, mask_size)
        np.testing.assert_array_equal(mask, host.resize_mask(image, mask_size))


@pytest.mark.slow
def test_resize_compiled_by_xla_computes_the_same_bits():
    image = textures(97, 131)["noise"]
    compiled = tf.function(lambda image: in_graph.resize(image, (64, 80)), jit_compile=True)
    np.testing.assert_array_equal(compiled(image), host.resize(image, (64, 80)))


@pytest.mark.slow
def test_clahe_compiled_by_xla_differs_by_one_grey_level_at_most():
    image = textures(96, 131)["smooth"]
    compiled = tf.function(in_graph.clahe, jit_compile=True)(tf.constant(image)).numpy()
    difference = np.abs(compiled.astype(int) - host.clahe(image))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


@pytest.mark.parametrize("function", [on_host(host.equalize), in_graph.equalize], ids=["host", "graph"])
@pytest.mark.parametrize("size", [*SIZES, (512, 512), (513, 757)])
def test_equalize_equals_opencv_bit_for_bit_in_every_mode(size, function):
    by_name = textures(*size)
    for (name, texture), results in zip(
        by_name.items(), in_every_mode(function, list(by_name.values())), strict=True
    ):
        for result in results:
            np.testing.assert_array_equal(result, cv2.equalizeHist(texture), name)


@pytest.mark.parametrize("resize", [host.resize, in_graph.resize], ids=["host", "graph"])
def test_resize_to_the_same_size_changes_nothing(resize):
    image = textures(50, 70)["noise"]
    np.testing.assert_array_equal(resize(image, (50, 70)), image)


def test_masks_are_resized_without_mixing():
    mask = (textures(60, 80)["smooth"] > 120).astype(np.uint8)
    [results] = in_every_mode(lambda mask: in_graph.resize_mask(mask, (30, 40)), [mask])
    # The nearest to a halved pixel's centre is the odd one of the two: 2 i + 0.5 rounds up.
    for result in (host.resize_mask(mask, (30, 40)), *results):
        np.testing.assert_array_equal(result, mask[1::2, 1::2])


@pytest.mark.parametrize(
    "transform",
    [
        in_graph.clahe,
        in_graph.equalize,
        lambda image: in_graph.resize(image, (8, 8)),
        lambda image: in_graph.resize_mask(image, (8, 8)),
    ],
    ids=["clahe", "equalize", "resize", "resize_mask"],
)
@pytest.mark.parametrize(
    "image", [np.zeros((9, 9, 1), np.uint8), np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.float32)]
)
def test_images_of_another_shape_or_dtype_are_rejected(transform, image):
    with pytest.raises(SemenetError, match=r"uint8 of shape \(height, width\). Received"):
        transform(image)


@pytest.mark.parametrize("clahe", [host.clahe, in_graph.clahe], ids=["host", "graph"])
@pytest.mark.parametrize(("clip_limit", "tiles"), [(-1, (8, 8)), (2.0, (0, 8)), (2.0, (8, -1))])
def test_wrong_arguments_of_clahe_are_rejected(clahe, clip_limit, tiles):
    with pytest.raises(SemenetError, match="`clip_limit` must be 0 or more.*Received: clip_limit="):
        clahe(np.zeros((9, 9), np.uint8), clip_limit, tiles)
