"""Draws of changes of acquisition: their probability, independence and order, in one thread or many."""

import concurrent.futures
import itertools

import cv2
import numpy as np
import pytest

from semenet.data.transforms import acquisition_draw
from semenet.data.transforms.acquisition_draw import CHANGES, change_acquisition
from semenet.data.transforms.augmentation import ACQUISITION_CHANGES, Augmentation


@pytest.fixture
def image():
    found = np.random.default_rng(1).integers(0, 256, (64, 48), dtype=np.uint8)
    found = cv2.GaussianBlur(found, (0, 0), 3)
    found.flags.writeable = False
    return found


@pytest.fixture
def made(monkeypatch):
    """Replaces each change by one that records its name and its numbers."""
    found = []

    def record(name):
        def change(image, numbers):
            found.append((name, tuple(numbers)))
            return image

        return change

    monkeypatch.setattr(acquisition_draw, "CHANGES", {name: record(name) for name in CHANGES})
    return found


def test_every_named_change_exists_and_changes_pixels_not_shape(image):
    assert tuple(CHANGES) == ACQUISITION_CHANGES
    for name in ACQUISITION_CHANGES:
        augmentation = Augmentation(acquisition=1.0, acquisition_changes=(name,))
        found = [change_acquisition(image, augmentation, (0, 1, item)) for item in range(40)]
        assert {(each.shape, each.dtype) for each in found} == {(image.shape, image.dtype)}, name
        # A collimation or borders without margins may leave an image as it is.
        assert sum((each != image).any() for each in found) > 25, name
        assert len({each.tobytes() for each in found}) > 10, name


def test_changes_are_made_in_the_documented_order_with_their_probability(image, made):
    items = 2000
    for item in range(items):
        made.append(None)
        change_acquisition(image, Augmentation(acquisition=0.4), (0, 1, item))
    names = [None if entry is None else entry[0] for entry in made]
    order = {name: place for place, name in enumerate(ACQUISITION_CHANGES)}
    for first, second in itertools.pairwise(names):
        assert None in (first, second) or order[first] < order[second]
    for name in ACQUISITION_CHANGES:
        # Five standard deviations of a binomial share.
        assert names.count(name) / items == pytest.approx(0.4, abs=5 * (0.24 / items) ** 0.5), name


def test_a_change_does_not_depend_on_which_others_are_made(image, made):
    seeds = (3, 1, 17)
    change_acquisition(image, Augmentation(acquisition=1.0), seeds)
    together = dict(made)
    assert len(set(together.values())) == len(ACQUISITION_CHANGES)
    for name in ACQUISITION_CHANGES:
        made.clear()
        change_acquisition(image, Augmentation(acquisition=1.0, acquisition_changes=(name,)), seeds)
        assert made == [(name, together[name])]


def test_epoch_seed_and_item_each_give_other_changes(image):
    augmentation = Augmentation(acquisition=0.8)
    four_seeds = [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3)]
    found = [change_acquisition(image, augmentation, seeds) for seeds in four_seeds]
    assert len({each.tobytes() for each in found}) == 4


def test_pixels_do_not_depend_on_threads(image):
    cv2.setNumThreads(1)
    augmentation = Augmentation(acquisition=0.6)

    def change(item):
        return change_acquisition(image, augmentation, (0, 1, item))

    expected = [change(item) for item in range(200)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(change, range(200)), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_the_strengths_at_both_ends_of_their_ranges_are_valid(number, image):
    for name, change in CHANGES.items():
        assert change(image, [number] * 11).shape == image.shape, name


def test_side_markers_stand_on_their_side(image, monkeypatch):
    written = []
    monkeypatch.setattr(
        acquisition_draw.burnt_in, "write_text", lambda image, text, place, *_: written.append((text, place))
    )
    generator = np.random.default_rng(0)
    for _ in range(400):
        numbers = generator.random(11).tolist()
        if numbers[0] >= 0.2:
            CHANGES["letters"](image, numbers)
    sides = {text: [place[1] for found, place in written if found == text] for text in "LR"}
    assert min(sides["L"]) >= 0.85
    assert max(sides["R"]) <= 0.15
    assert len(sides["L"]) > 40
    assert len(sides["R"]) > 40
