import os
import pathlib

import cv2
import numpy as np
import pytest

from semenet.data.checks.duplicates import SAME, near_pairs, nearest, similarity, thumbnail
from semenet.data.images.reading import read_image
from semenet.errors import SemenetError


def drawn(seed, size=192):
    """A picture with a chest's outline, which all share, and detail at all scales, which none does."""
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
def test_a_changed_copy_is_the_same_picture(change):
    image = drawn(0)
    assert similarity(thumbnail(image), thumbnail(CHANGES[change](image))) >= SAME


def test_other_pictures_are_not_the_same_however_alike():
    for seed in range(1, 6):
        assert similarity(thumbnail(drawn(0)), thumbnail(drawn(seed))) < SAME - 0.1


def test_similarity_of_equal_and_of_even_pictures():
    picture = thumbnail(drawn(0))
    assert similarity(picture, picture) == pytest.approx(1, abs=1e-4)
    even = np.full_like(picture, 90)
    assert similarity(picture, even) == 0
    assert similarity(even, even) == 0


def test_pairs_are_found_across_splits_and_across_groups():
    changes = list(CHANGES.values())
    originals = [drawn(seed) for seed in range(12)]
    copies = [changes[seed % len(changes)](image) for seed, image in enumerate(originals[:6])]
    thumbnails = np.stack([thumbnail(image) for image in originals + copies])
    # Copies 0 and 1 stand in val; 2 and 3 in train under another patient; 4 and 5 under the same.
    splits = ["train"] * 12 + ["val"] * 2 + ["train"] * 4
    groups = [*range(12), 0, 1, 22, 23, 4, 5]
    steps = []
    pairs = near_pairs(thumbnails, splits, groups, progress=lambda *step: steps.append(step))
    assert [(a, b) for a, b, _ in pairs] == [(0, 12), (1, 13), (2, 14), (3, 15)]
    assert all(found >= SAME for _, _, found in pairs)
    assert steps[-1][0] == steps[-1][1] > 0


def test_even_images_and_single_images_make_no_pairs():
    assert near_pairs(np.zeros((4, 64, 64), np.uint8), [0, 1, 0, 1], range(4)) == []
    assert near_pairs(thumbnail(drawn(0))[None], [0], [0]) == []


def test_search_in_blocks_finds_the_same(monkeypatch):
    thumbnails = np.stack([thumbnail(drawn(seed % 7)) for seed in range(14)])
    splits = [seed % 3 for seed in range(14)]
    whole = near_pairs(thumbnails, splits, range(14))
    monkeypatch.setattr("semenet.data.checks.duplicates._BLOCK_ELEMENTS", 28)
    assert near_pairs(thumbnails, splits, range(14)) == whole
    assert {(a, b) for a, b, _ in whole} == {(seed, seed + 7) for seed in range(7)}


def test_nearest_gives_copies_and_nothing_else():
    thumbnails = np.stack([thumbnail(drawn(seed)) for seed in range(8)])
    ((index, found),) = nearest(thumbnail(CHANGES["turned"](drawn(5))), thumbnails)
    assert index == 5
    assert SAME <= found < 1
    assert nearest(thumbnail(drawn(99)), thumbnails) == []
    assert nearest(thumbnail(drawn(99)), thumbnails[:0]) == []


@pytest.mark.parametrize("same", [0.4, 1.1, float("nan")])
def test_a_similarity_below_which_all_is_one_is_refused(same):
    with pytest.raises(SemenetError, match=r"\[0.5, 1\]"):
        near_pairs(np.zeros((2, 64, 64), np.uint8), [0, 1], [0, 1], same=same)


@pytest.mark.slow
@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_real_twins_are_found_and_other_children_are_not():
    """224-pixel and 512-pixel editions of the same radiographs are one; different children are not."""
    real_data = pathlib.Path(os.environ["SEMENET_DATA"])
    large = sorted((real_data / "dataset1_hires/images").glob("*.jpeg"))[::10]
    small = [real_data / "dataset1/images" / path.name for path in large]
    thumbnails = np.stack([thumbnail(read_image(path)) for path in large + small])
    pairs = near_pairs(thumbnails, [0] * len(large) + [1] * len(small), range(2 * len(large)))
    crossing = {(a, b) for a, b, _ in pairs if b >= len(large)}
    assert {(index, index + len(large)) for index in range(len(large))} <= crossing
    assert all(large[a].name.split("_")[0] == small[b - len(large)].name.split("_")[0] for a, b in crossing)
