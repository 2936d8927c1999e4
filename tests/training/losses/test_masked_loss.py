"""The loss of several labels against formulas worked out by hand, and runs that use it."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semenet.data.manifest.table import ManifestError
from semenet.training.loop.fit import build_network, train
from semenet.training.loop.optimization import compile_network
from semenet.training.losses.masked_loss import MaskedBinaryCrossentropy, masked_loss, positive_weights

LABELS = np.array([[1, 0, -1], [-1, -1, -1], [0, 1, 1]], "float32")
LOGITS = np.array([[0.3, -1.0, 2.0], [1.0, 0.0, -1.0], [-0.5, 0.1, 1.5]], "float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loss_and_gradient(loss, labels, logits, in_graph):
    def step(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(labels, keras.activations.sigmoid(logits))
        return value, tape.gradient(value, logits)

    value, gradient = (tf.function(step) if in_graph else step)(tf.constant(logits))
    return float(value), gradient.numpy()


@pytest.mark.parametrize("in_graph", [True, False])
def test_only_known_labels_count(in_graph):
    value, gradient = loss_and_gradient(MaskedBinaryCrossentropy(), LABELS, LOGITS, in_graph)
    p = sigmoid(LOGITS.astype("float64"))
    rows = [
        (-np.log(p[0, 0]) - np.log(1 - p[0, 1])) / 2,
        0,
        (-np.log(1 - p[2, 0]) - np.log(p[2, 1]) - np.log(p[2, 2])) / 3,
    ]
    assert value == pytest.approx(np.mean(rows), rel=1e-6)
    known = LABELS >= 0
    expected = np.where(known, p - LABELS, 0) / np.maximum(known.sum(axis=1, keepdims=True), 1) / 3
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_the_gradient_does_not_vanish_where_the_sigmoid_saturates():
    logits, labels = np.array([[200.0, -200.0]], "float32"), np.array([[0, 1]], "float32")
    value, gradient = loss_and_gradient(MaskedBinaryCrossentropy(), labels, logits, in_graph=True)
    assert value == pytest.approx(200)
    np.testing.assert_allclose(gradient, [[0.5, -0.5]])


def test_without_missing_labels_it_is_the_loss_of_keras():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0]], "float32")
    found = loss_and_gradient(MaskedBinaryCrossentropy(0.2), labels, LOGITS, in_graph=True)
    expected = loss_and_gradient(keras.losses.BinaryCrossentropy(label_smoothing=0.2), labels, LOGITS, True)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-7)


def test_positive_images_have_their_weight():
    weights = positive_weights(np.array([[1, 0], [0, -1], [0, 1], [0, 1]]))
    assert weights.tolist() == [3, 0.5]
    value, _ = loss_and_gradient(
        MaskedBinaryCrossentropy(0.0, weights), LABELS[:1, :2], LOGITS[:1, :2], in_graph=True
    )
    p = sigmoid(LOGITS.astype("float64"))
    assert value == pytest.approx((-3 * np.log(p[0, 0]) - np.log(1 - p[0, 1])) / 2, rel=1e-6)


def test_the_array_loss_leaves_out_images_without_a_known_label():
    p = sigmoid(LOGITS.astype("float64"))
    expected = np.mean(
        [
            (-np.log(p[0, 0]) - np.log(1 - p[0, 1])) / 2,
            (-np.log(1 - p[2, 0]) - np.log(p[2, 1]) - np.log(p[2, 2])) / 3,
        ]
    )
    assert masked_loss(LABELS, p) == pytest.approx(expected)


def test_moment_exchange_mixes_the_losses_of_several_labels(tiny_recipe):
    names = ("a", "b", "c")
    recipe = tiny_recipe("moex_resnet50", classes=names, labels="several", moex_p=1.0, moex_lam=0.7)
    model = build_network(recipe)
    compile_network(model, recipe, 10, jit_compile=False, labels=LABELS)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1)).astype("float32")
    outputs = model(images, training=True)
    found = float(model.compute_loss(images, LABELS, outputs, training=True))
    p = outputs.numpy().astype("float64")

    def loss(labels):
        known = labels >= 0
        each = np.where(labels == 1, -np.log(p), -np.log(1 - p)) * known
        return each.sum(axis=1) / np.maximum(known.sum(axis=1), 1)

    expected = 0.7 * loss(LABELS) + 0.3 * loss(np.roll(LABELS, 1, axis=0))
    assert found == pytest.approx(expected.mean(), rel=1e-4)


def findings_manifest(phantoms, folder):
    """Returns a manifest of two independent findings: a lesion, and the burnt-in letter of one kind."""
    table = pd.read_csv(phantoms, dtype=str, keep_default_na=False)
    for column in ("file", "mask"):
        table[column] = [str(phantoms.parent / file) for file in table[column]]
    table["label:lesion"] = (table["label"] != "normal").astype(int).astype(str)
    table["label:letter"] = (table["marker"] == table["marker"].iloc[0]).astype(int).astype(str)
    table.loc[table.index % 5 == 0, "label:letter"] = ""
    path = folder / "findings.csv"
    table.drop(columns="label").to_csv(path, index=False)
    return path


@pytest.mark.parametrize("changes", [{}, {"ema": 0.5, "precision": "mixed_bfloat16"}])
def test_a_run_of_two_findings(phantoms, tiny_recipe, tmp_path, changes):
    recipe = tiny_recipe("seme_resnet50_findings", classes=("lesion", "letter"), epochs=1, **changes)
    run = train(recipe, findings_manifest(phantoms, tmp_path), tmp_path / "run")
    assert run.activation == "sigmoid"
    assert np.isfinite(run.history["loss"].to_numpy()).all()
    assert 0 <= run.history["val_macro_auroc"].iloc[0] <= 1


def test_a_finding_that_all_training_images_have_is_refused(phantoms, tiny_recipe, tmp_path):
    path = findings_manifest(phantoms, tmp_path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.assign(**{"label:lesion": "1"}).to_csv(path, index=False)
    recipe = tiny_recipe("seme_resnet50_findings", classes=("lesion", "letter"))
    with pytest.raises(ManifestError, match="with it and without it.*lesion"):
        train(recipe, path, tmp_path / "run")
