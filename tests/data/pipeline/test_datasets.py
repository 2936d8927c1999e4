"""Datasets against their own parts, called one by one, and against themselves run in another way."""

import builtins
import io
import os
import pathlib

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image, read_mask
from semenet.data.manifest.table import ManifestError, read_manifest
from semenet.data.pipeline.datasets import (
    evaluation_dataset,
    prepare_image,
    training_batches,
    training_dataset,
)
from semenet.data.pipeline.tf_data import as_dataset, unwrapped_errors
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.augmentation import Augmentation

CLASSES = ("normal", "bacteria", "virus")
SIZE = (24, 32)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Seven different images of seven sizes, with masks; the classes alternate."""
    folder = tmp_path_factory.mktemp("radiographs")
    generator = np.random.default_rng(0)
    records = []
    for index in range(7):
        image = generator.integers(30, 220, (40 + index, 50 - index), dtype=np.uint8)
        mask = np.zeros_like(image)
        mask[10:30, 5:25] = 255
        record = {
            "label": CLASSES[index % 3],
            "path": f"{folder}/{index}.png",
            "mask_path": f"{folder}/m{index}.png",
        }
        cv2.imwrite(record["path"], image)
        cv2.imwrite(record["mask_path"], mask)
        records.append({"file": f"{index}.png", **record})
    return pd.DataFrame(records)


def training(rows, **changes):
    arguments = {
        "class_names": CLASSES,
        "input_size": SIZE,
        "batch_size": 3,
        "epochs": 2,
        "seed": 5,
        "augmentation": Augmentation(),
    }
    return training_dataset(rows, **{**arguments, **changes})


def batches(dataset):
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def resized(rows, clahe=False):
    images = [host_transforms.resize(read_image(path), SIZE) for path in rows["path"]]
    return np.stack([host_transforms.clahe(image) if clahe else image for image in images])[..., np.newaxis]


def resized_masks(rows):
    masks = [host_transforms.resize_mask(read_mask(path), SIZE) for path in rows["mask_path"]]
    return np.stack(masks)[..., np.newaxis]


def identities(images, references):
    """Returns the index of the reference that equals each image."""
    return [int(np.flatnonzero((references == image).all(axis=(1, 2, 3)))[0]) for image in images]


def test_every_epoch_has_every_row_once_with_its_label_and_its_own_smaller_last_batch(rows):
    dataset, steps = training(rows, epochs=3)
    found = batches(dataset)
    assert steps == 3
    assert len(dataset) == len(found) == 9
    assert [len(images) for images, _ in found] == [3, 3, 1] * 3
    assert found[0][0].dtype == np.uint8
    assert found[0][1].dtype == np.float32
    orders = []
    for epoch in range(3):
        images, targets = (
            np.concatenate(parts) for parts in zip(*found[3 * epoch : 3 * epoch + 3], strict=True)
        )
        order = identities(images, resized(rows))
        assert sorted(order) == list(range(7))
        np.testing.assert_array_equal(targets, np.eye(3)[[index % 3 for index in order]])
        orders.append(tuple(order))
    assert len(set(orders)) == 3


def test_without_shuffling_rows_keep_their_order(rows):
    dataset, _ = training(rows, shuffle=False, epochs=1)
    images = np.concatenate([images for images, _ in batches(dataset)])
    np.testing.assert_array_equal(images, resized(rows))


def test_a_multiple_of_the_batch_size_leaves_no_smaller_batch(rows):
    dataset, steps = training(rows.iloc[:6], epochs=2)
    assert steps == 2
    assert [len(images) for images, _ in batches(dataset)] == [3] * 4
    dataset, steps = training(rows, batch_size=10)
    assert [len(images) for images, _ in batches(dataset)] == [7, 7]
    assert steps == 1


def test_random_choices_are_a_function_of_seed_epoch_and_item(rows):
    augmentation = Augmentation(clahe=0.5, rotation=30)
    whole = batches(training(rows, augmentation=augmentation, epochs=3)[0])
    again = batches(training(rows, augmentation=augmentation, epochs=3)[0])
    resumed = batches(training(rows, augmentation=augmentation, epochs=3, start_epoch=1)[0])
    sequential = training(rows, augmentation=augmentation, epochs=3)[0]
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    for other in (again, batches(sequential.with_options(options))):
        for one, two in zip(whole, other, strict=True):
            np.testing.assert_array_equal(one[0], two[0])
            np.testing.assert_array_equal(one[1], two[1])
    for one, two in zip(whole[3:], resumed, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
    other_seed = batches(training(rows, augmentation=augmentation, epochs=3, seed=6)[0])
    assert any((one[0] != two[0]).any() for one, two in zip(whole, other_seed, strict=True))


def test_a_run_resumed_within_an_epoch_gets_the_batches_of_an_uninterrupted_one(rows, tmp_path):
    copies = rows.assign(path=[str(tmp_path / f"{index}.png") for index in range(7)])
    for one, other in zip(rows["path"], copies["path"], strict=True):
        pathlib.Path(other).write_bytes(pathlib.Path(one).read_bytes())
    augmentation = Augmentation(clahe=0.5, rotation=30, zoom=0.1, shift=0.1, gamma=0.2, contrast=0.2)
    whole = batches(training(rows, augmentation=augmentation, epochs=4)[0])
    made = training_batches(
        copies,
        class_names=CLASSES,
        input_size=SIZE,
        batch_size=3,
        seed=5,
        augmentation=augmentation,
        cache="memory",
    )
    assert made.steps == 3
    first = batches(as_dataset(made, 2, 6))
    # Now all images are in the cache, which the second dataset shares.
    for path in copies["path"]:
        pathlib.Path(path).unlink()
    second = batches(as_dataset(made, 6, 12))
    for expected, found in zip(whole[2:], [*first, *second], strict=True):
        for one, two in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, two)
    assert batches(as_dataset(made, 4, 4)) == []


@pytest.mark.parametrize("masks", [False, True])
def test_datasets_of_two_processes_are_halves_of_one(rows, masks):
    arguments = {
        "masks": masks,
        "augmentation": Augmentation(clahe=0.5, rotation=30, zoom=0.2),
        "batch_size": 4,
    }
    whole, steps = training(rows, multiple=2, **arguments)
    halves = [training(rows, multiple=2, part=(rank, 2), **arguments) for rank in range(2)]
    assert {steps for _, steps in halves} == {steps} == {2}
    for expected, *parts in zip(batches(whole), *(batches(half) for half, _ in halves), strict=True):
        assert [len(images) for images, _ in parts] == [2, 2]
        for one, of_ranks in zip(expected, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(one, np.concatenate(of_ranks))


def test_clahe_is_applied_to_its_share_of_images_drawn_anew_in_each_epoch(rows):
    epochs = 60
    dataset, _ = training(
        rows, augmentation=Augmentation(clahe=0.4), epochs=epochs, shuffle=False, batch_size=7
    )
    plain, enhanced = resized(rows), resized(rows, clahe=True)
    drawn = []
    for images, _ in batches(dataset):
        has = (images == enhanced).all(axis=(1, 2, 3))
        np.testing.assert_array_equal(images[~has], plain[~has])
        drawn.append(has)
    # 420 draws: four standard deviations are 0.096.
    assert abs(np.mean(drawn) - 0.4) < 0.096
    assert len({tuple(has) for has in drawn}) > 20


@pytest.mark.parametrize("views", [("original",), ("original", "clahe")])
def test_fixed_clahe_is_applied_to_the_same_images_in_every_epoch(rows, views):
    def enhanced(seed, share=0.4):
        augmentation = Augmentation(clahe=share, clahe_draw="fixed", views=views)
        dataset, _ = training(
            rows, augmentation=augmentation, epochs=4, shuffle=False, batch_size=7 * len(views), seed=seed
        )
        epochs = [images for images, _ in batches(dataset)]
        for images in epochs[1:]:
            np.testing.assert_array_equal(images, epochs[0])
        if len(views) == 2:
            np.testing.assert_array_equal(epochs[0][7:], resized(rows, clahe=True))
        return tuple((epochs[0][:7] == resized(rows, clahe=True)).all(axis=(1, 2, 3)))

    drawn = {enhanced(seed) for seed in range(6)}
    # Exactly the share, 2.8 of seven images, and other images with another seed.
    assert {sum(images) for images in drawn} == {3}
    assert len(drawn) > 1
    assert sum(enhanced(0, share=1.0)) == 7


@pytest.mark.parametrize("views", [("original",), ("original", "masked")])
def test_added_clahe_keeps_every_image_and_adds_copies_of_the_same_ones_in_every_epoch(rows, views):
    def epochs(share, shuffle):
        augmentation = Augmentation(clahe=share, clahe_draw="added", views=views)
        dataset, steps = training(
            rows, augmentation=augmentation, epochs=2, shuffle=shuffle, batch_size=4, seed=3
        )
        images = [image for images, _ in batches(dataset) for image in images]
        labels = [label for _, labels in batches(dataset) for label in labels]
        assert len(images) == len(labels)
        half = len(images) // 2
        assert steps == -(-half // 4)
        return np.stack(images[:half]), np.stack(images[half:]), np.stack(labels[:half])

    count = 7 * len(views)
    first, second, labels = epochs(0.4, shuffle=False)
    np.testing.assert_array_equal(first, second)
    added = round(0.4 * count)
    assert len(first) == count + added
    lungs = resized_masks(rows)
    plain = np.concatenate([resized(rows), resized(rows) * lungs][: len(views)])
    enhanced = np.concatenate([resized(rows, clahe=True), resized(rows, clahe=True) * lungs][: len(views)])
    np.testing.assert_array_equal(first[:count], plain)
    copies = [int(np.flatnonzero((enhanced == image).all(axis=(1, 2, 3)))[0]) for image in first[count:]]
    assert copies == sorted(set(copies))
    np.testing.assert_array_equal(labels[count:], labels[copies])

    shuffled, other, _ = epochs(0.4, shuffle=True)
    assert (shuffled != other).any()
    for images in (shuffled, other):
        assert {image.tobytes() for image in images} == {image.tobytes() for image in first}
    assert len(epochs(1.0, shuffle=False)[0]) == 2 * count


def test_a_dataset_of_a_million_rows_is_made_without_accessing_a_file(monkeypatch):
    count = 1_000_000
    rows = pd.DataFrame({"label": "normal", "path": [f"/nowhere/{index}.png" for index in range(count)]})
    accessed = []

    def recorded(function):
        def record(path, *arguments, **keywords):
            accessed.append(str(path))
            return function(path, *arguments, **keywords)

        return record

    with monkeypatch.context() as patched:
        for module, name in ((os, "stat"), (os, "lstat"), (os, "open"), (builtins, "open"), (io, "open")):
            patched.setattr(module, name, recorded(getattr(module, name)))
        dataset, steps = training(rows, batch_size=16)
    assert not [path for path in accessed if path.startswith("/nowhere/")]
    assert steps == count / 16
    with pytest.raises(ImageError, match="/nowhere/"), unwrapped_errors():
        next(iter(dataset))


def test_rotation_draws_angles_over_the_whole_range(tmp_path):
    # A white bar through the centre shows the angle of rotation.
    image = np.zeros((201, 201), np.uint8)
    image[99:102, 20:181] = 255
    cv2.imwrite(str(tmp_path / "bar.png"), image)
    rows = pd.DataFrame([{"label": "normal", "path": str(tmp_path / "bar.png")}])
    dataset, _ = training(
        rows, augmentation=Augmentation(rotation=30), input_size=(201, 201), batch_size=1, epochs=200
    )
    angles = []
    for images, _ in batches(dataset):
        row, column = np.nonzero(images[0, ..., 0] > 128)
        angles.append(-np.rad2deg(np.arctan(np.polyfit(column - 100, row - 100, 1)[0])))
    assert np.abs(angles).max() < 30.1
    assert min(angles) < -27
    assert max(angles) > 27
    # Uniformly: the mean's standard deviation is 30 / sqrt(3 * 200) = 1.2, half lie within 15 degrees.
    assert abs(np.mean(angles)) < 5
    assert 0.35 < np.mean(np.abs(angles) < 15) < 0.65


def test_the_training_set_is_the_union_of_the_views(rows):
    views = ("original", "clahe", "masked", "masked_clahe")
    dataset, steps = training(
        rows, augmentation=Augmentation(views=views), shuffle=False, epochs=1, batch_size=5
    )
    found = batches(dataset)
    assert steps == len(found) == 6
    images = np.concatenate([images for images, _ in found])
    inside = resized_masks(rows)
    expected = [resized(rows), resized(rows, clahe=True)]
    expected += [plain * inside for plain in expected]
    np.testing.assert_array_equal(images, np.concatenate(expected))
    targets = np.concatenate([targets for _, targets in found])
    np.testing.assert_array_equal(targets.argmax(axis=1), [index % 3 for index in range(7)] * 4)


def test_segmentation_rotates_image_and_mask_together(rows):
    plain, _ = training(rows, masks=True, shuffle=False, epochs=1)
    masks = np.concatenate([masks for _, masks in batches(plain)])
    assert masks.dtype == np.float32
    np.testing.assert_array_equal(masks, resized_masks(rows))
    # The masks are also used as images, so that both must show the same.
    own = rows.assign(path=rows["mask_path"])
    rotated, _ = training(own, masks=True, augmentation=Augmentation(rotation=30), epochs=2, seed=1)
    moved = 0
    for images, masks in batches(rotated):
        sure = np.isin(images, (0, 255))
        np.testing.assert_array_equal(images[sure] / 255, masks[sure])
        moved += np.sum(~sure)
    assert moved > 0


def test_evaluation_keeps_the_manifests_order_and_needs_no_label(rows):
    images = np.concatenate(list(evaluation_dataset(rows[["path"]], input_size=SIZE, batch_size=4)))
    np.testing.assert_array_equal(images, resized(rows))
    enhanced = evaluation_dataset(
        rows, input_size=SIZE, batch_size=4, inference_clahe=True, class_names=CLASSES
    )
    found = batches(enhanced)
    assert [len(images) for images, _ in found] == [4, 3]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in found]), resized(rows, clahe=True))
    np.testing.assert_array_equal(found[1][1], np.eye(3)[[1, 2, 0]])
    masked = batches(evaluation_dataset(rows, input_size=SIZE, batch_size=7, masks=True))
    np.testing.assert_array_equal(masked[0][1], resized_masks(rows))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("inference_clahe", [False, True])
def test_prepare_image_equals_the_dataset_bit_for_bit(rows, channels, inference_clahe):
    options = {"input_size": SIZE, "channels": channels, "inference_clahe": inference_clahe}
    images = np.concatenate(list(evaluation_dataset(rows, batch_size=7, **options)))
    for path, expected in zip(rows["path"], images, strict=True):
        prepared = prepare_image(read_image(path), **options)
        assert prepared.dtype == np.uint8
        assert prepared.shape == (*SIZE, channels)
        np.testing.assert_array_equal(prepared, expected)


def test_three_channels_repeat_the_grey_image(rows):
    images, _ = batches(training(rows, channels=3, shuffle=False)[0])[0]
    assert images.shape == (3, *SIZE, 3)
    np.testing.assert_array_equal(images, np.repeat(resized(rows)[:3], 3, axis=-1))


def test_keras_fits_all_epochs_from_one_dataset(rows):
    model = keras.Sequential([keras.Input((*SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    dataset, steps = training(rows, epochs=3)
    history = model.fit(dataset, epochs=3, steps_per_epoch=steps, verbose=0)
    assert len(history.history["loss"]) == 3
    assert model.optimizer.iterations == 9


def test_a_damaged_file_is_named_by_the_original_error(rows, tmp_path):
    broken = tmp_path / "ä broken.png"
    broken.write_bytes(pathlib.Path(rows["path"][0]).read_bytes()[:200])
    bad = pd.concat([rows, rows.iloc[:1].assign(path=str(broken))], ignore_index=True)
    for dataset in (
        evaluation_dataset(bad, input_size=SIZE, batch_size=3),
        training(bad)[0],
        training(bad, masks=True)[0],
    ):
        with pytest.raises(ImageError) as error, unwrapped_errors():
            list(dataset)
        message = str(error.value)
        assert str(broken) in message
        assert message.startswith("An image file must be complete and undamaged.")
        assert message.endswith("Download or save the file again.")
        assert "Traceback" not in message


def test_a_mask_of_another_size_is_named_with_its_image(rows):
    wrong = rows.assign(mask_path=np.roll(rows["mask_path"], -1))
    with pytest.raises(ImageError, match=r"m1\.png.*0\.png"), unwrapped_errors():
        list(evaluation_dataset(wrong, input_size=SIZE, batch_size=1, masks=True))


def test_other_errors_are_raised_unchanged():
    with pytest.raises(tf.errors.InvalidArgumentError), unwrapped_errors():
        tf.io.decode_png(b"nothing")
    with pytest.raises(KeyError), unwrapped_errors():
        raise KeyError("a")


def test_wrong_arguments_are_rejected_before_a_file_is_read(rows):
    nowhere = rows.assign(path="/nowhere.png")
    for changes, message in (
        ({"input_size": (0, 5)}, "input_size"),
        ({"channels": 2}, "channels"),
        ({"batch_size": 0}, "batch_size"),
        ({"start_epoch": 2}, "start_epoch"),
        ({"seed": -1}, "seed"),
        ({"class_names": None}, "`class_names`"),
        ({"part": (0, 2)}, "number of processes. Received: batch_size=3, multiple=1, 2"),
        ({"masks": True, "augmentation": Augmentation(views=("masked",))}, "whole images"),
    ):
        with pytest.raises(ValueError, match=message):
            training(nowhere, **changes)
    made = training_batches(nowhere, class_names=CLASSES, input_size=SIZE, batch_size=3, seed=5)
    for start, stop in ((-1, 2), (2, 1)):
        with pytest.raises(ValueError, match=f"Received: start={start}, stop={stop}. An epoch has 3"):
            as_dataset(made, start, stop)
    with pytest.raises(ValueError, match="0 rows"):
        training(rows.iloc[:0])
    for without in (rows.drop(columns="mask_path"), rows.assign(mask_path="")):
        with pytest.raises(ValueError, match="lung mask"):
            training(without, masks=True)
        with pytest.raises(ValueError, match="lung mask"):
            training(without, augmentation=Augmentation(views=("original", "masked")))
    with pytest.raises(ManifestError, match="--classes"):
        training(rows, class_names=("normal", "virus"))


@pytest.mark.skipif(
    "SEMENET_DATA" not in os.environ, reason="SEMENET_DATA is not set to a folder of radiographs"
)
def test_real_radiographs_and_masks_are_read():
    folder = pathlib.Path(os.environ["SEMENET_DATA"])
    rows = read_manifest(folder / "dataset1" / "manifest.csv").rows.iloc[::200]
    found = batches(training(rows, class_names=CLASSES, augmentation=Augmentation(0.4, 30), epochs=1)[0])
    assert sum(len(images) for images, _ in found) == len(rows)
    pairs = read_manifest(folder / "lung" / "manifest.csv", required=("mask",)).rows.iloc[::50]
    for _, masks in batches(training(pairs, masks=True, augmentation=Augmentation(0.4, 30), epochs=1)[0]):
        assert 0.05 < masks.mean() < 0.7
