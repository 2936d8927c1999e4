"""Lung masks from the manifest or a U-Net, and the images that networks take."""

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from semenet.data.images.errors import ImageError
from semenet.data.manifest.table import read_manifest
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks, keep_only_lungs
from semenet.models.layers.heads import ClassifierHead, SegmentationHead
from semenet.training.run_folder.run import Run

SIDE = 32
DARK, BRIGHT = 40, 200


def classifier(path, lungs_alone=False, clahe=False, side=SIDE):
    image = keras.Input((side, side, 1), name="image")
    x = keras.layers.Identity(name="features")(image)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    head = ClassifierHead(("a", "b"), clahe, lungs_alone, activation="softmax", name="head")
    keras.Model(image, head(x)).save(path)
    return Run.open(path)


def bright_finder(path, side=SIDE, classes=("lung",), clahe=False):
    """A stand-in for a U-Net: every pixel brighter than 127.5 is lung."""
    image = keras.Input((side, side, 1), name="image")
    x = keras.layers.Identity(name="features")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, SegmentationHead(classes, clahe, activation="sigmoid", name="head")(x))
    count = len(classes)
    model.get_layer("head").set_weights([np.full((1, 1, 1, count), 40.0), np.full(count, -20.0)])
    model.save(path)
    return Run.open(path)


@pytest.fixture
def data(tmp_path):
    """Three images whose upper half is bright. Their masks cover the left half."""
    image = np.full((SIDE, SIDE), DARK, np.uint8)
    image[: SIDE // 2] = BRIGHT
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image + number)
    frame = pd.DataFrame({"file": [f"{number}.png" for number in range(3)], "label": ["a", "b", "a"]})
    frame.assign(patient=["p", "q", "r"], split="val", mask="mask.png").to_csv(
        tmp_path / "manifest.csv", index=False
    )
    return tmp_path


def rows_of(data):
    return read_manifest(data / "manifest.csv").split("val")


def without_masks(data, rows=slice(None)):
    frame = pd.read_csv(data / "manifest.csv")
    frame.loc[frame.index[rows], "mask"] = ""
    frame.to_csv(data / "manifest.csv", index=False)
    return rows_of(data)


def test_manifest_masks_are_read_with_their_images_in_order(data):
    run = classifier(data / "model.keras")
    batches = list(LungMasks().images_with_masks(rows_of(data), run, batch_size=2))
    assert [len(images) for images, _ in batches] == [2, 1]
    images, masks = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert images.dtype == np.uint8
    assert images.shape == (3, SIDE, SIDE, 1)
    np.testing.assert_array_equal(images[:, -1, 0, 0], [DARK, DARK + 1, DARK + 2])
    assert masks.dtype == bool
    assert masks.shape == (3, SIDE, SIDE)
    assert masks[:, :, : SIDE // 2].all()
    assert not masks[:, :, SIDE // 2 :].any()


def test_a_network_segments_the_image_at_its_own_size(data):
    """The U-Net has another size than the classifier and does not use the classifier's CLAHE."""
    run = classifier(data / "model.keras", clahe=True)
    finder = LungMasks(bright_finder(data / "unet.keras", side=64))
    images, masks = next(finder.images_with_masks(rows_of(data), run, batch_size=8))
    assert images.shape == (3, SIDE, SIDE, 1)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[: SIDE // 2] = True
    np.testing.assert_array_equal(masks, [expected] * 3)
    assert len(np.unique(images[0])) > 2
    assert finder.source == f"masks by the U-Net {data / 'unet.keras'}"
    assert LungMasks().source == "the manifest's masks"


def test_masks_alone_equal_the_masks_read_with_images(data):
    run = classifier(data / "model.keras", side=64)
    rows = rows_of(data)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[5:9, 3:30] = 255
    cv2.imwrite(str(data / "other.png"), mask)
    rows.loc[1, "mask_path"] = str(data / "other.png")
    for masks in (LungMasks(), LungMasks(bright_finder(data / "unet.keras"))):
        expected = np.concatenate([found for _, found in masks.images_with_masks(rows, run, batch_size=2)])
        found = list(masks.masks(rows[1:], run.input_size, batch_size=2))
        assert {each.dtype for each in found} == {np.dtype(bool)}
        np.testing.assert_array_equal(found, expected[1:])


def test_images_of_any_size_are_segmented(data):
    finder = LungMasks.open(bright_finder(data / "unet.keras").path)
    left, low = np.full((70, 50), DARK, np.uint8), np.full((20, 90), DARK, np.uint8)
    left[:, :25] = BRIGHT
    low[10:] = BRIGHT
    masks = finder.segment([left, low], (16, 8))
    assert masks.dtype == bool
    expected = np.zeros((2, 16, 8), bool)
    expected[0, :, :4] = True
    expected[1, 8:] = True
    np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize(("probability", "inside"), [(0.49, False), (0.51, True)])
def test_a_probability_above_one_half_is_lung(data, probability, inside):
    run = bright_finder(data / "unet.keras")
    logit = np.log(probability / (1 - probability))
    run.model.get_layer("head").set_weights([np.zeros((1, 1, 1, 1)), np.full(1, logit)])
    assert LungMasks(run).segment([np.zeros((9, 9), np.uint8)], (4, 4)).all() == inside


def test_a_network_for_whole_images_gets_them_with_or_without_masks(data):
    run = classifier(data / "model.keras")
    for rows in (rows_of(data), without_masks(data)):
        images = np.concatenate(list(LungMasks().network_inputs(rows, run, batch_size=2)))
        assert images.shape == (3, SIDE, SIDE, 1)
        np.testing.assert_array_equal(images[1, [0, -1], -1, 0], [BRIGHT + 1, DARK + 1])


@pytest.mark.parametrize("clahe", [False, True])
def test_a_network_for_lungs_alone_gets_black_elsewhere_also_after_clahe(data, clahe):
    rows = rows_of(data)
    run = classifier(data / "model.keras", lungs_alone=True, clahe=clahe)
    whole = classifier(data / "whole.keras", clahe=clahe)
    inputs = np.concatenate(list(LungMasks().network_inputs(rows, run, batch_size=2)))
    images = np.concatenate(list(LungMasks().network_inputs(rows, whole, batch_size=2)))
    half = SIDE // 2
    assert not inputs[:, :, half:].any()
    np.testing.assert_array_equal(inputs[:, :, :half], images[:, :, :half])
    assert inputs[:, :, :half].all()
    finder = LungMasks(bright_finder(data / "unet.keras"))
    inputs = np.concatenate(list(finder.network_inputs(rows, run, batch_size=2)))
    assert not inputs[:, half:].any()
    np.testing.assert_array_equal(inputs[:, :half], images[:, :half])
    inputs, masks = next(LungMasks().network_inputs_with_masks(rows, run, batch_size=8))
    assert not inputs[~masks].any()
    inputs, masks = next(LungMasks().network_inputs_with_masks(rows, whole, batch_size=8))
    np.testing.assert_array_equal(inputs, images)


def test_every_channel_is_set_to_black():
    images = np.full((2, 3, 4, 3), 9, np.uint8)
    masks = np.zeros((2, 3, 4), bool)
    masks[0, 1, 2] = masks[1, 0, 0] = True
    kept = keep_only_lungs(images, masks)
    assert kept.dtype == np.uint8
    assert kept.sum() == 2 * 3 * 9
    assert kept[0, 1, 2].tolist() == kept[1, 0, 0].tolist() == [9, 9, 9]
    assert images.all()


def test_missing_masks_are_counted_and_rejected_unless_a_network_finds_them(data):
    rows = rows_of(data)
    assert LungMasks().has_mask(rows).all()
    LungMasks().check_available(rows)
    run = classifier(data / "model.keras", lungs_alone=True)
    finder = LungMasks(bright_finder(data / "unet.keras"))
    for incomplete, count, first in (
        (without_masks(data, slice(1, 2)), 1, "1.png"),
        (rows.drop(columns=["mask", "mask_path"]), 3, "0.png"),
    ):
        assert not LungMasks().has_mask(incomplete).all()
        message = (
            f"Received: {count} of 3 images without a mask .* first {first}. "
            "Give the run of a U-Net with --lungs"
        )
        with pytest.raises(SemenetError, match=message):
            LungMasks().check_available(incomplete)
        with pytest.raises(SemenetError, match=message):
            next(LungMasks().network_inputs(incomplete, run, batch_size=2))
        assert finder.has_mask(incomplete).all()
        finder.check_available(incomplete)
        assert next(finder.network_inputs(incomplete, run, batch_size=2)).shape == (2, SIDE, SIDE, 1)


def test_a_mask_that_cannot_be_read_is_named(data):
    (data / "mask.png").write_bytes(b"none")
    with pytest.raises(ImageError, match=r"mask\.png"):
        list(LungMasks().images_with_masks(rows_of(data), classifier(data / "model.keras"), batch_size=2))


def test_lungs_need_a_segmentation_network_with_one_class(data):
    run = classifier(data / "model.keras")
    with pytest.raises(SemenetError, match=r"one class. Received: .*model.keras.*a, b. Give a U-Net's run"):
        LungMasks.open(run.path)
    several = bright_finder(data / "two.keras", classes=("left", "right"))
    with pytest.raises(SemenetError, match="with the classes left, right"):
        LungMasks(several)
    assert LungMasks.open(None).run is None
