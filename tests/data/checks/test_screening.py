"""Unreadable rows are left out with reasons, up to a limit."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semenet.data.checks.screening import screen_masks, screen_rows
from semenet.data.images.errors import ImageError


@pytest.fixture
def rows(tmp_path):
    """Ten images with masks, three of which cannot be used."""
    records = []
    for index in range(10):
        names = {"path": f"{tmp_path}/{index}.png", "mask_path": f"{tmp_path}/m{index}.png"}
        for path in names.values():
            cv2.imwrite(path, np.full((20, 20), 255, np.uint8))
        records.append({"file": f"{index}.png", **names})
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "5.png").unlink()
    cv2.imwrite(str(tmp_path / "m8.png"), np.zeros((20, 21), np.uint8))
    return pd.DataFrame(records)


def test_unreadable_rows_are_separated_with_reasons(rows):
    usable, skipped = screen_rows(rows, skip_at_most=0.2)
    assert usable["file"].tolist() == [f"{index}.png" for index in (0, 1, 2, 4, 6, 7, 8, 9)]
    assert usable.index.tolist() == list(range(8))
    assert skipped["file"].tolist() == ["3.png", "5.png"]
    assert "empty" in skipped["reason"][0]
    assert "does not" in skipped["reason"][1]


def test_masks_are_read_on_request(rows):
    steps = []
    _, skipped = screen_rows(rows, masks=True, skip_at_most=0.3, progress=lambda *step: steps.append(step))
    assert skipped["file"].tolist() == ["3.png", "5.png", "8.png"]
    assert "size of its image" in skipped["reason"][2]
    assert steps == [(done, 10) for done in range(1, 11)]


def test_screen_masks_reads_only_masks_and_the_sizes_of_images(rows):
    """The size of an image is that after its EXIF orientation."""
    image = Image.fromarray(np.full((20, 30), 200, np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    image.save(rows["path"][0], "JPEG", exif=exif)
    cv2.imwrite(rows["mask_path"][0], np.zeros((30, 20), np.uint8))
    image.save(rows["path"][1], "TIFF")
    cv2.imwrite(rows["mask_path"][1], np.zeros((20, 30), np.uint8))
    cv2.imwrite(rows["mask_path"][2], np.arange(400, dtype=np.uint8).reshape(20, 20))
    steps = []
    bad = screen_masks(rows, lambda *step: steps.append(step))
    assert bad["file"].tolist() == ["2.png", "3.png", "5.png", "8.png"]
    assert bad["reason"].str.contains("two grey levels|empty|does not|size of its image").all()
    assert "m8.png of (20, 21)" in bad["reason"][3]
    assert steps == [(done, 10) for done in range(1, 11)]


def test_too_many_unreadable_rows_are_an_error_that_names_the_first(rows):
    with pytest.raises(ImageError, match=r"At most 19.0%.*Received: 2 of 10.*3\.png"):
        screen_rows(rows, skip_at_most=0.19)
    with pytest.raises(ValueError, match="skip_at_most"):
        screen_rows(rows, skip_at_most=5)


def test_readable_rows_are_returned_unchanged(rows):
    good = rows.iloc[[0, 1, 9]].reset_index(drop=True)
    usable, skipped = screen_rows(good, skip_at_most=0)
    pd.testing.assert_frame_equal(usable, good)
    assert skipped.empty
    assert list(skipped.columns) == ["file", "reason"]
