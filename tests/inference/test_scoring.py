"""Scores of networks: test-time augmentation, and equality of `evaluate` and `predict`."""

import json

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import semenet
from semenet.cli.main import main
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.datasets import prepare_image
from semenet.evaluation.split_evaluation import evaluate
from semenet.inference.heat_maps.class_activation import cam_function
from semenet.inference.scoring import scoring_function, scoring_function_with_maps
from semenet.inference.test_time_augmentation import inference_view
from semenet.serving.prediction.any_network import predict
from semenet.training.run_folder.run import Run

CLASSES = ["normal", "bacteria", "virus"]


def prepared(rows, side=32):
    return np.stack([prepare_image(read_image(file), (side, side)) for file in rows["path"]])


@pytest.fixture(scope="module")
def network(phantoms, tmp_path_factory):
    """A small untrained classifier whose probabilities are intermediate and differ between images."""
    model = semenet.build("vgg19_gap", input_shape=(32, 32, 1), width=0.125)
    head = model.get_layer("head")
    features = keras.Model(model.input, head.input).predict(
        prepared(read_manifest(phantoms).split("val")), verbose=0
    )
    # Its initial weights would predict the same class for all images, with probabilities near 1.
    kernel = np.random.default_rng(0).normal(size=(features.shape[-1], 3)) / (features.std() + 1e-6)
    logits = features @ kernel
    kernel /= logits.std(axis=0)
    head.set_weights([kernel, -(features @ kernel).mean(axis=0)])
    path = tmp_path_factory.mktemp("network") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    """A small untrained segmentation network."""
    path = tmp_path_factory.mktemp("network") / "unet.keras"
    semenet.build("unet", input_shape=(32, 32, 1), width=0.0625).save(path)
    return path


@pytest.mark.parametrize("tta", [1, 2, 9])
def test_scores_are_the_mean_over_the_views(network, phantoms, tta):
    run = Run.open(network)
    images = prepared(read_manifest(phantoms).split("val").iloc[:4])
    views = [
        np.stack([inference_view(image[..., 0], number)[..., np.newaxis] for image in images])
        for number in range(tta)
    ]
    expected = np.mean([run.model.predict(view, verbose=0) for view in views], axis=0)
    for given in (images, tf.constant(images)):
        scores = scoring_function(run, tta)(given)
        assert scores.dtype == tf.float32
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected - run.model.predict(images, verbose=0)).max() > 0.01 or tta == 1


@pytest.mark.parametrize(
    ("entry", "depth", "tta"),
    [
        ("vgg19_gap", {}, 1),
        ("vgg19_gap", {}, 3),
        pytest.param("seme_resnet50", {"depth": 0.34}, 1, marks=pytest.mark.slow),
        pytest.param("seme_densenet169", {"depth": 0.34}, 1, marks=pytest.mark.slow),
    ],
)
def test_probabilities_with_maps_equal_those_without(entry, depth, tta, phantoms, tmp_path):
    model = semenet.build(entry, input_shape=(96, 96, 1), width=0.125, **depth)
    kernel = model.get_layer("head").kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    model.save(tmp_path / "model.keras")
    run = Run.open(tmp_path / "model.keras")
    images = prepared(read_manifest(phantoms).split("val").iloc[:7], side=96)
    score, score_and_map, explain = (
        scoring_function(run, tta),
        scoring_function_with_maps(run, tta),
        cam_function(run.model),
    )
    for batch in (images, images[:1]):
        expected = score(batch).numpy()
        probabilities, maps = score_and_map(batch)
        np.testing.assert_array_equal(probabilities, expected)
        # The maps are those of the original view, for the class that all views together predict.
        np.testing.assert_allclose(maps, explain(batch, expected.argmax(axis=1))[0], rtol=1e-5, atol=1e-5)
        assert maps.shape == (len(batch), 3, 3)
        assert len(np.unique(maps)) > 2


def test_a_head_without_pooling_returns_no_maps(phantoms, tmp_path):
    semenet.build("vgg19", input_shape=(32, 32, 1), width=0.0625).save(tmp_path / "model.keras")
    run = Run.open(tmp_path / "model.keras")
    images = prepared(read_manifest(phantoms).split("val").iloc[:2])
    probabilities, maps = scoring_function_with_maps(run)(images)
    assert maps is None
    np.testing.assert_array_equal(probabilities, scoring_function(run)(images))


def test_three_equal_channels_stay_equal(tmp_path):
    path = tmp_path / "rgb.keras"
    semenet.build("vgg19_gap", input_shape=(32, 32, 3), width=0.125).save(path)
    run = Run.open(path)
    grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    images = np.repeat(grey, 3, axis=-1)
    views = [images, np.stack([np.dstack([inference_view(image[..., 0], 1)] * 3) for image in images])]
    expected = np.mean([run.model.predict(view, verbose=0) for view in views], axis=0)
    np.testing.assert_allclose(scoring_function(run, 2)(images), expected, rtol=1e-4)


@pytest.mark.parametrize("tta", [1, 5])
def test_predict_equals_evaluate_to_the_last_digit(network, phantoms, tmp_path, tta):
    rows = read_manifest(phantoms).split("val")
    evaluate(network, phantoms, "val", out=tmp_path / "evaluation", batch_size=4, tta=tta)
    predict(network, rows["path"].tolist(), tmp_path / "predictions.csv", batch_size=4, tta=tta)
    measured = pd.read_csv(tmp_path / "evaluation" / "predictions.csv", dtype=str)
    predicted = pd.read_csv(tmp_path / "predictions.csv", dtype=str)
    assert len(measured) > 4
    assert measured[CLASSES].nunique().min() > 4
    pd.testing.assert_frame_equal(measured[[*CLASSES, "predicted"]], predicted[[*CLASSES, "predicted"]])


def test_the_commands_accept_and_record_tta(network, phantoms, tmp_path):
    out = tmp_path / "evaluation"
    main(["evaluate", str(network), "--manifest", str(phantoms), "--out", str(out), "--tta", "3"])
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["tta"] == 3
    assert figures["command"].endswith("--batch-size 16 --tta 3")
    assert "--tta 3" in (out / "report.html").read_text()
    rows = read_manifest(phantoms).split("val")
    main(["predict", str(network), *rows["path"], "--out", str(tmp_path / "p.csv"), "--tta", "3"])
    measured, predicted = pd.read_csv(out / "predictions.csv"), pd.read_csv(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(measured[CLASSES], predicted[CLASSES])
    plain = predict(network, rows["path"].tolist())
    assert np.abs(plain[CLASSES].to_numpy() - predicted[CLASSES].to_numpy()).max() > 1e-3


def test_the_recorded_command_omits_tta_by_default(network, phantoms, tmp_path):
    figures = evaluate(network, phantoms, "val", out=tmp_path)
    assert figures["tta"] == 1
    assert "tta" not in figures["command"]


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_the_help_says_that_a_savedmodel_does_not_support_tta(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--tta INT" in shown
    assert "1: the image alone. A SavedModel does not support it. (default: 1)" in shown


def test_a_segmentation_network_is_rejected_before_anything_is_written(segmenter, phantoms, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"class probabilities, not masks. Received: tta=3 .*Use tta=1"):
        evaluate(segmenter, phantoms, "val", out=out, tta=3)
    with pytest.raises(ValueError, match="class probabilities, not masks"):
        predict(segmenter, [phantoms.parent / "images"], out / "p.csv", tta=3)
    assert not any(out.glob("*"))


def test_an_invalid_number_of_views_is_rejected(network, phantoms, tmp_path):
    with pytest.raises(ValueError, match="1 to 9 views. Received: 10"):
        evaluate(network, phantoms, "val", out=tmp_path / "out", tta=10)
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.zeros((40, 40), np.uint8))
    with pytest.raises(ValueError, match="1 to 9 views. Received: 0"):
        predict(network, [image], tta=0)
