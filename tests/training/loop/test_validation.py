"""Validation uses the same kind of images as training and inference."""

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

import semenet
from semenet.data.images.errors import ImageError
from semenet.data.manifest.table import ManifestError, read_manifest
from semenet.data.pipeline.datasets import evaluation_dataset
from semenet.evaluation.split_evaluation import evaluate
from semenet.models.layers.heads import ClassifierHead
from semenet.training.devices.device import Devices
from semenet.training.loop.fit import build_network, train
from semenet.training.loop.validation import Validation
from semenet.training.run_folder.run import Run

ALONE, WHOLE, BOTH = ("masked", "masked_clahe"), ("original", "clahe"), ("original", "masked")


def by_brightness():
    """Returns a network that separates the classes by the mean of its input."""
    image = keras.Input((32, 32, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    names = ("normal", "bacteria", "virus")
    model = keras.Model(image, ClassifierHead(names, activation="softmax", name="head")(x))
    model.get_layer("head").set_weights([np.float32([[0, 20, 40]]), np.float32([0, -4, -12])])
    return model


class StoringDevice(Devices):
    """One device, which stores its predictions."""

    def predict(self, model, images, count):
        self.stored = super().predict(model, images, count)
        return self.stored


def validated(recipe, rows, **arguments):
    devices = StoringDevice()
    metrics = Validation(rows, recipe, devices, **arguments).measure(by_brightness())
    return devices.stored, metrics


def expected(rows, clahe, masked):
    """Returns probabilities of images that are masked one by one, without the module's own dataset."""
    dataset = evaluation_dataset(rows, input_size=(32, 32), batch_size=1, inference_clahe=clahe)
    images = np.concatenate([batch.numpy() for batch in dataset])
    if masked:
        for image, path in zip(images, rows["mask_path"], strict=True):
            # Every second of 64 pixels, which is at the centre of one of 32.
            image[cv2.imread(path, cv2.IMREAD_GRAYSCALE)[1::2, 1::2] == 0] = 0
    return by_brightness().predict(images, verbose=0)


@pytest.mark.parametrize("clahe", [False, True])
@pytest.mark.parametrize("views", [ALONE, WHOLE, BOTH, ("masked",)])
def test_a_network_is_validated_on_the_kind_of_images_it_is_trained_on(phantoms, tiny_recipe, views, clahe):
    rows = read_manifest(phantoms).split("val")
    recipe = tiny_recipe("vgg19_gap", views=views, inference_clahe=clahe)
    probabilities, metrics = validated(recipe, rows)
    alone = views not in (WHOLE, BOTH)
    np.testing.assert_allclose(probabilities, expected(rows, clahe, alone), atol=1e-6)
    assert np.abs(probabilities - expected(rows, clahe, not alone)).max() > 0.05
    true = rows["label"].map({"normal": 0, "bacteria": 1, "virus": 2})
    assert metrics["val_accuracy"] == pytest.approx(np.mean(probabilities.argmax(axis=1) == true))
    assert metrics["val_loss"] == pytest.approx(
        -np.log(probabilities[range(len(rows)), true]).mean(), rel=1e-4
    )


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cache_changes_nothing(phantoms, tiny_recipe, tmp_path, cache):
    rows = read_manifest(phantoms).split("val")
    recipe = tiny_recipe("vgg19_gap", views=ALONE)
    for _ in range(2):
        folder = tmp_path if cache == "disk" else None
        probabilities, _ = validated(recipe, rows, cache=cache, cache_folder=folder)
        np.testing.assert_allclose(probabilities, expected(rows, False, True), atol=1e-6)


def test_two_replicas_predict_like_one(phantoms, tiny_recipe):
    """The devices fill up the batches of masked images like those of whole images."""
    from semenet.training.devices.mirrored import MirroredDevices

    rows = read_manifest(phantoms).split("val")[:11]
    recipe = tiny_recipe("vgg19_gap", views=ALONE, batch_size=4)

    class Two(StoringDevice, MirroredDevices):
        # No devices are needed to test how batches are filled up.
        replicas = 2

        def __init__(self):
            pass

    devices = Two()
    Validation(rows, recipe, devices).measure(by_brightness())
    np.testing.assert_allclose(devices.stored, expected(rows, False, True), atol=1e-6)


@pytest.mark.parametrize(("views", "alone"), [(ALONE, True), (WHOLE, False), (BOTH, False)])
def test_the_head_stores_whether_the_input_is_lungs_alone(tiny_recipe, tmp_path, views, alone):
    recipe = tiny_recipe("vgg19_gap", views=views)
    assert recipe.lungs_alone is alone
    build_network(recipe).save(tmp_path / "model.keras")
    assert semenet.load_model(tmp_path / "model.keras").get_layer("head").lungs_alone is alone
    assert Run.open(tmp_path / "model.keras").lungs_alone is alone


@pytest.mark.slow
def test_the_best_metric_of_a_run_equals_that_of_evaluation(phantoms, tiny_recipe, tmp_path):
    recipe = tiny_recipe("vgg19_gap", views=ALONE, monitor="val_accuracy", learning_rate=0.01)
    run = train(recipe, phantoms, tmp_path / "run")
    assert run.lungs_alone
    metrics = evaluate(run.path, phantoms, "val", out=tmp_path / "out", resamples=200)
    assert metrics["accuracy"] == pytest.approx(run.record["best"])
    rows = read_manifest(phantoms).split("val")
    dataset = evaluation_dataset(rows, input_size=(32, 32), batch_size=8, masks=True)
    blacked = np.concatenate([images.numpy() * masks.numpy().astype("uint8") for images, masks in dataset])
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    np.testing.assert_allclose(table[list(run.class_names)], run.model.predict(blacked, verbose=0), atol=1e-5)


def test_a_row_without_a_mask_raises_if_masks_are_needed(phantoms, tiny_recipe):
    rows = read_manifest(phantoms).split("val")
    gap = rows.assign(mask_path=["", *rows["mask_path"][1:]])
    unmasked = rows.drop(columns=["mask", "mask_path"])
    count = len(rows)
    recipe = tiny_recipe("vgg19_gap", views=ALONE)
    for some, without in ((gap, 1), (unmasked, count)):
        message = f"Received: {without} of {count} rows without one, first {rows['file'][0]}.*--views"
        with pytest.raises(ManifestError, match=message):
            Validation(some, recipe, Devices())
        assert Validation(some, tiny_recipe("vgg19_gap", views=BOTH), Devices()).dataset is not None


def test_a_missing_mask_raises_before_the_first_epoch(phantoms, tiny_recipe):
    rows = read_manifest(phantoms).split("val")
    rows.loc[2, "mask_path"] = "/nowhere/mask.png"
    with pytest.raises(ImageError, match=r"Received: 1 missing files, first /nowhere/mask\.png"):
        Validation(rows, tiny_recipe("vgg19_gap", views=ALONE), Devices())
