import cv2
import numpy as np
import pytest
import tensorflow as tf

from semenet.data.images.colour import is_coloured, is_coloured_graph
from semenet.data.phantom.arguments import PhantomError
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.phantom.lateral import draw_lateral_radiograph
from semenet.inference.input_gate import CODES, GATE_CLASSES, frontal_network, gate_graph, gate_input


@pytest.fixture(scope="module")
def gate():
    made = tf.function(gate_graph())

    def codes(images, coloured=False):
        thumbnails, flags = zip(*(gate_input(image, coloured) for image in images), strict=True)
        found = made(np.stack(thumbnails), np.stack(flags)).numpy()
        return [[code for code, has in zip(CODES, row, strict=True) if has] for row in found]

    return codes


def chests(count, size=256):
    labels = ("normal", "bacteria", "virus", "COVID-19")
    return [draw_radiograph(labels[seed % 4], size=size, seed=seed).image for seed in range(count)]


def test_frontal_radiographs_pass(gate):
    for size in (96, 256, 512):
        assert gate(chests(12, size)) == [[]] * 12


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: 255 - image, "inverted"),
        (lambda image: np.rot90(image, 1), "turned"),
        (lambda image: np.rot90(image, 2), "turned"),
        (lambda image: np.rot90(image, 3), "turned"),
        (lambda image: cv2.resize(image, (95, 200)), "too_small"),
        # 12 bits stored in 16.
        (lambda image: image // 16, "wrong_range"),
    ],
)
def test_a_defective_radiograph_gets_the_matching_code(gate, change, code):
    found = gate([np.ascontiguousarray(change(image)) for image in chests(20)])
    assert all(found)
    assert sum(code in codes for codes in found) >= 16


def test_lateral_radiographs_are_detected(gate):
    assert gate([draw_lateral_radiograph(seed=10_000 + seed) for seed in range(20)]) == [["lateral"]] * 20


def pictures():
    """Noise, a gradient, stripes, a page of text and discs."""
    rng = np.random.default_rng(0)
    page = np.full((300, 200), 255, "uint8")
    for line in range(20, 300, 20):
        cv2.putText(page, "mm 12 report", (5, line), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 0, 1)
    discs = np.zeros((200, 200), "uint8")
    for x, y, radius in rng.integers(10, 190, (12, 3)):
        cv2.circle(discs, (int(x), int(y)), int(radius) // 6, int(x) + 60, -1)
    stripes = np.tile(np.uint8(np.arange(240) // 20 % 2 * 255), (160, 1))
    gradient = np.tile(np.arange(256, dtype="uint8"), (256, 1))
    return [rng.integers(0, 256, (256, 256)).astype("uint8"), gradient, stripes, page, discs]


def test_other_pictures_are_rejected(gate):
    assert all(set(codes) & set(CODES[3:]) for codes in gate(pictures()))


def test_a_blank_image_is_rejected(gate):
    assert all("wrong_range" in codes for codes in gate([np.full((200, 200), v, "uint8") for v in (0, 255)]))


def test_a_coloured_file_is_rejected(gate):
    assert gate(chests(2), coloured=True) == [["colour_photograph"]] * 2


def test_the_network_returns_probabilities_that_do_not_depend_on_exposure():
    images = [gate_input(image)[0] for image in chests(8)]
    network = frontal_network()
    found = network(np.stack(images)).numpy()
    assert found.shape == (8, len(GATE_CLASSES))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    dimmer = network(np.stack(images) / np.float32(2) + 20).numpy()
    np.testing.assert_allclose(dimmer, found, atol=1e-4)


def encoded(image, kind, *flags):
    return cv2.imencode(kind, image, flags)[1].tobytes()


def photograph(share):
    """Blue and orange over a share of the image; grey elsewhere."""
    image = np.full((128, 160, 3), 90, "uint8")
    image[: round(128 * share), :80] = (200, 90, 30)
    image[: round(128 * share), 80:] = (20, 120, 230)
    return image


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp"])
def test_colour_is_detected_in_every_format(kind):
    tinted = np.stack([chests(1)[0] * factor for factor in (1.0, 0.95, 0.85)], axis=-1).astype("uint8")
    expected = {"all": True, "a third": True, "a mark": False, "tinted": False, "grey": False}
    images = [photograph(1), photograph(0.33), photograph(0.04), tinted, chests(1)[0]]
    for (name, coloured), image in zip(expected.items(), images, strict=True):
        contents = encoded(image, kind)
        assert is_coloured(contents) is coloured, name
        if kind != ".bmp":
            assert bool(is_coloured_graph(tf.constant(contents))) is coloured, name


def test_the_graph_detects_the_same_colours():
    rng = np.random.default_rng(1)
    graph = tf.function(is_coloured_graph, input_signature=[tf.TensorSpec([], tf.string)])
    found = []
    for number in range(60):
        grey = rng.integers(0, 256, (rng.integers(20, 90), rng.integers(20, 90), 1))
        image = np.clip(grey + rng.normal(0, 150, (*grey.shape[:2], 3)), 0, 255).astype("uint8")
        image = cv2.GaussianBlur(image, (0, 0), 1 + number % 3)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA) if number % 4 == 3 else image
        kind, *flags = [(".png",), (".jpg", cv2.IMWRITE_JPEG_QUALITY, 60), (".jpg",), (".png",)][number % 4]
        contents = encoded(image, kind, *flags)
        found.append(is_coloured(contents))
        assert bool(graph(contents)) == found[-1]
    assert 5 < sum(found) < 55


def test_equal_seeds_draw_equal_lateral_radiographs():
    np.testing.assert_array_equal(
        draw_lateral_radiograph(size=96, seed=3), draw_lateral_radiograph(size=96, seed=3)
    )
    assert (draw_lateral_radiograph(size=96, seed=3) != draw_lateral_radiograph(size=96, seed=4)).mean() > 0.5
    with pytest.raises(PhantomError, match="64 to 1024"):
        draw_lateral_radiograph(size=2000)
