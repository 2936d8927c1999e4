import os
import pathlib

import cv2
import numpy as np
import pytest

from semenet.data.checks.duplicates import (
    DEFAULT_SIMILARITY,
    find_copies,
    find_near_pairs,
    make_thumbnail,
    similarity,
)
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError


def drawn(seed, size=192):
    """Draws an image with a chest's outline, equal for all seeds, and detail that differs for each seed."""
    rng = np.random.default_rng(seed)
    detail = sum(
        cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), radius) * radius for radius in (3, 6, 12)
    )
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    lungs = np.exp(-(((np.abs(x) - 0.45) / 0.3) ** 2) - (y / 0.7) ** 2)
    body = 170 - 90 * lungs + 9 * np.sin(14 * y + 3 * np.abs(x)) + 14 * detail
    return np.clip(body, 0, 255).astype(np.uint8)


def turned(image, degrees):
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height))


def recompressed(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)


CHANGES = {
    "smaller": lambda image: cv2.resize(image, (90, 110), interpolation=cv2.INTER_AREA),
    "larger": lambda image: cv2.resize(image, (500, 400), interpolation=cv2.INTER_LINEAR),
    "recompressed": lambda image: recompressed(image, 30),
    "clahe": lambda image: cv2.createCLAHE(2.0, (8, 8)).apply(image),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "cropped": lambda image: image[6:-6, 6:-6],
    "turned": lambda image: turned(image, 2),
    "letter": lambda image: cv2.putText(image.copy(), "R", (10, 30), 0, 0.8, 255, 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_modified_copies_are_found(change):
    image = drawn(0)
    assert similarity(make_thumbnail(image), make_thumbnail(CHANGES[change](image))) >= DEFAULT_SIMILARITY


def test_similar_images_are_not_copies():
    for seed in range(1, 6):
        assert similarity(make_thumbnail(drawn(0)), make_thumbnail(drawn(seed))) < DEFAULT_SIMILARITY - 0.1


def test_similarity_of_equal_and_of_uniform_images():
    thumbnail = make_thumbnail(drawn(0))
    assert similarity(thumbnail, thumbnail) == pytest.approx(1, abs=1e-4)
    uniform = np.full_like(thumbnail, 90)
    assert similarity(thumbnail, uniform) == 0
    assert similarity(uniform, uniform) == 0


def test_pairs_are_found_across_splits_and_across_groups():
    changes = list(CHANGES.values())
    originals = [drawn(seed) for seed in range(12)]
    copies = [changes[seed % len(changes)](image) for seed, image in enumerate(originals[:6])]
    thumbnails = np.stack([make_thumbnail(image) for image in originals + copies])
    # Copies 0 and 1 are in val, 2 and 3 in train in another group, 4 and 5 in train in the same group.
    splits = ["train"] * 12 + ["val"] * 2 + ["train"] * 4
    groups = [*range(12), 0, 1, 22, 23, 4, 5]
    steps = []
    pairs = find_near_pairs(thumbnails, splits, groups, progress=lambda *step: steps.append(step))
    assert [(a, b) for a, b, _ in pairs] == [(0, 12), (1, 13), (2, 14), (3, 15)]
    assert all(found >= DEFAULT_SIMILARITY for _, _, found in pairs)
    assert steps[-1][0] == steps[-1][1] > 0


def test_uniform_images_and_single_images_have_no_pairs():
    assert find_near_pairs(np.zeros((4, 64, 64), np.uint8), [0, 1, 0, 1], range(4)) == []
    assert find_near_pairs(make_thumbnail(drawn(0))[None], [0], [0]) == []


def test_search_in_blocks_finds_the_same_pairs(monkeypatch):
    thumbnails = np.stack([make_thumbnail(drawn(seed % 7)) for seed in range(14)])
    splits = [seed % 3 for seed in range(14)]
    whole = find_near_pairs(thumbnails, splits, range(14))
    monkeypatch.setattr("semenet.data.checks.duplicates._BLOCK_ELEMENTS", 28)
    assert find_near_pairs(thumbnails, splits, range(14)) == whole
    assert {(a, b) for a, b, _ in whole} == {(seed, seed + 7) for seed in range(7)}


def test_find_copies_returns_only_copies():
    thumbnails = np.stack([make_thumbnail(drawn(seed)) for seed in range(8)])
    ((index, found),) = find_copies(make_thumbnail(CHANGES["turned"](drawn(5))), thumbnails)
    assert index == 5
    assert DEFAULT_SIMILARITY <= found < 1
    assert find_copies(make_thumbnail(drawn(99)), thumbnails) == []
    assert find_copies(make_thumbnail(drawn(99)), thumbnails[:0]) == []


@pytest.mark.parametrize("min_similarity", [0.4, 1.1, float("nan")])
def test_a_similarity_out_of_range_is_rejected(min_similarity):
    with pytest.raises(SemenetError, match=r"\[0.5, 1\]"):
        find_near_pairs(np.zeros((2, 64, 64), np.uint8), [0, 1], [0, 1], min_similarity=min_similarity)


@pytest.mark.slow
@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_real_copies_are_found_and_other_children_are_not():
    """The 224-pixel and 512-pixel editions of one radiograph are copies; different children are not."""
    real_data = pathlib.Path(os.environ["SEMENET_DATA"])
    large = sorted((real_data / "dataset1_hires/images").glob("*.jpeg"))[::10]
    small = [real_data / "dataset1/images" / path.name for path in large]
    thumbnails = np.stack([make_thumbnail(read_image(path)) for path in large + small])
    pairs = find_near_pairs(thumbnails, [0] * len(large) + [1] * len(small), range(2 * len(large)))
    crossing = {(a, b) for a, b, _ in pairs if b >= len(large)}
    assert {(index, index + len(large)) for index in range(len(large))} <= crossing
    assert all(large[a].name.split("_")[0] == small[b - len(large)].name.split("_")[0] for a, b in crossing)
