import cv2
import numpy as np
import pytest

from semenet.data.images.reading import read_image, read_mask
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.frontal import draw_radiograph
from semenet.evaluation.shortcut_audit import marks
from semenet.evaluation.shortcut_audit.marks import find_marks, mark_features, marks_of_files


def empty(shape=(256, 256), grey=90):
    return np.full(shape, grey, np.uint8), np.zeros(shape, np.uint8)


def with_letter(letter, at, height=20, shape=(256, 256)):
    image, mask = empty(shape)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, height, 2)
    cv2.putText(image, letter, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 250, 2, cv2.LINE_AA)
    return image, mask


def test_a_letter_is_found_at_its_position():
    (mark,) = find_marks(*with_letter("N", (200, 60)))
    x, y, width, height = mark["box"]
    # The baseline's left end is at (200, 60); the letter rises 20 pixels from there.
    assert x == pytest.approx(200 / 256, abs=0.015)
    assert y + height == pytest.approx(60 / 256, abs=0.015)
    assert height == pytest.approx(20 / 256, abs=0.02)
    assert 0.03 < width < 0.13
    assert 100 < mark["contrast"] < 161


def test_marks_exclude_lungs_large_areas_specks_and_low_contrast():
    image, mask = with_letter("N", (100, 120))
    mask[80:140, 80:140] = 1
    assert find_marks(image, mask) == []
    image, mask = empty()
    image[20:120, 20:120] = 250
    assert find_marks(image, mask) == []
    image, mask = empty()
    image[40:43, 40:43] = 250
    assert find_marks(image, mask) == []
    image, mask = empty()
    image[40:60, 40:46] = 120
    assert find_marks(image, mask) == []
    assert not mark_features(image, mask).any()


def test_marks_are_sorted_by_contrast_and_counted():
    image, mask = with_letter("B", (20, 60))
    image[200:215, 200:206] = 150
    found = find_marks(image, mask)
    assert [mark["box"][0] < 0.5 for mark in found] == [True, False]
    assert mark_features(image, mask)[-1] == 2


def test_features_depend_on_the_letter_but_not_on_image_size():
    small = mark_features(*with_letter("V", (20, 60)))
    large = mark_features(*(cv2.resize(part, (1024, 1024)) for part in with_letter("V", (20, 60))))
    other = mark_features(*with_letter("N", (20, 60)))

    def likeness(first, second):
        return np.corrcoef(first[:256], second[:256])[0, 1]

    assert likeness(small, large) > 0.9 > likeness(small, other)


# At 96 pixels a stroke is under one pixel wide, and one in six letters merges with bright surroundings.
@pytest.mark.parametrize(("size", "least"), [(96, 28), (160, 34), (512, 36)])
def test_letters_of_most_phantoms_are_found(size, least):
    found = 0
    for seed in range(40):
        phantom = draw_radiograph("normal", size=size, seed=seed, marker="N")
        plain = draw_radiograph("normal", size=size, seed=seed)
        difference = np.argwhere(phantom.image.astype(int) - plain.image > 20)
        y, x = difference.mean(axis=0) / size
        boxes = [mark["box"] for mark in find_marks(phantom.image, phantom.lungs)[:1]]
        found += any(left <= x <= left + wide and top <= y <= top + high for left, top, wide, high in boxes)
    assert found >= least


def test_files_and_given_masks_agree(phantoms):
    rows = read_manifest(phantoms, required=("label", "mask")).split("val")
    steps, whole = [], [None] * len(rows)
    by_file = marks_of_files(
        zip(rows["path"], rows["mask_path"], whole, strict=True),
        len(rows),
        lambda done, total: steps.append((done, total)),
    )
    assert steps == [(number, len(rows)) for number in range(1, len(rows) + 1)]
    expected = [
        mark_features(read_image(path), read_mask(mask))
        for path, mask in zip(rows["path"], rows["mask_path"], strict=True)
    ]
    np.testing.assert_array_equal(by_file, expected)
    given = [marks.resize_mask_for_marks(read_mask(mask)) for mask in rows["mask_path"]]
    by_mask = marks_of_files(
        zip(rows["path"], given, whole, strict=True), len(rows), lambda done, total: None
    )
    np.testing.assert_array_equal(by_mask, expected)
