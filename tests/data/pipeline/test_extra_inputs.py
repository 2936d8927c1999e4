"""What batches deliver beside their images: values of the rows, and lung masks that follow each warp."""

import numpy as np
import pytest

from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import training_batches
from semenet.data.pipeline.tf_data import as_dataset
from semenet.data.transforms.augmentation import Augmentation
from semenet.errors import SemenetError

WARPED = {"rotation": 30, "zoom": 0.2, "shift": 0.1}
CLASSES = ("normal", "bacteria", "virus")


def batches(rows, **changes):
    arguments = {"class_names": CLASSES, "input_size": (48, 40), "batch_size": 5, "seed": 3}
    return training_batches(rows, **arguments | changes)


@pytest.fixture
def rows(phantoms):
    return read_manifest(phantoms).split("train")


def test_values_follow_their_rows_and_change_nothing_else(rows):
    augmentation = Augmentation(views=("original", "masked"), **WARPED)
    plain = batches(rows, augmentation=augmentation)
    numbers = np.arange(len(rows), dtype=np.int32)
    classes = rows["label"].map(CLASSES.index).to_numpy(np.int32)
    extended = batches(rows, augmentation=augmentation, row_values={"row": numbers, "class": classes})
    seen = []
    for step in range(plain.steps):
        images, targets = plain[step]
        inputs, same_targets = extended[step]
        assert list(inputs) == ["images", "row", "class"]
        np.testing.assert_array_equal(inputs["images"], images)
        np.testing.assert_array_equal(same_targets, targets)
        np.testing.assert_array_equal(targets.argmax(axis=1), inputs["class"])
        seen += inputs["row"].tolist()
    assert seen != sorted(seen)
    assert sorted(seen) == sorted([*range(len(rows))] * 2)


def test_lung_masks_are_warped_like_those_of_segmentation(rows):
    augmentation = Augmentation(**WARPED)
    beside = batches(rows, augmentation=augmentation, lung_masks=True)
    targets = batches(rows, augmentation=augmentation, masks=True, class_names=None)
    for step in (0, beside.steps):
        inputs, _ = beside[step]
        images, masks = targets[step]
        np.testing.assert_array_equal(inputs["images"], images)
        np.testing.assert_array_equal(inputs["lungs"], masks[..., 0])
        assert inputs["lungs"].dtype == np.uint8


def test_the_dataset_delivers_a_dict_instead_of_the_images(rows):
    made = batches(rows, row_values={"group": np.arange(len(rows), dtype=np.int32)}, lung_masks=True)
    for step, (inputs, targets) in enumerate(as_dataset(made, 0, made.steps)):
        expected, expected_targets = made[step]
        assert set(inputs) == set(expected) == {"images", "group", "lungs"}
        for name, array in expected.items():
            np.testing.assert_array_equal(inputs[name], array)
            assert inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(targets, expected_targets)


def test_shares_of_processes_join_to_the_whole_batch(rows):
    arguments = {
        "row_values": {"group": np.arange(len(rows), dtype=np.int32)},
        "batch_size": 4,
        "multiple": 2,
    }
    whole = batches(rows, **arguments)
    parts = [batches(rows, part=(rank, 2), **arguments) for rank in range(2)]
    for step in range(whole.steps):
        joined = np.concatenate([part[step][0]["group"] for part in parts])
        np.testing.assert_array_equal(joined, whole[step][0]["group"])


def test_lung_masks_need_a_mask_for_every_row(rows):
    with pytest.raises(SemenetError, match="attention to lungs.* need a lung mask for every row"):
        batches(rows.assign(mask_path=""), lung_masks=True)
