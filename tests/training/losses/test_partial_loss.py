"""The loss of partial labels, against formulas worked out by hand and against Keras' loss."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semenet.data.manifest.table import ManifestError
from semenet.training.loop.fit import build_network, train
from semenet.training.loop.optimization import class_weights, compile_network
from semenet.training.losses.partial_loss import (
    PartialLabelCrossentropy,
    balanced_weights,
    partial_label_loss,
    possible_accuracy,
)

POSSIBLE = np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 1]], "float32")
LOGITS = np.array([[0.3, -1.0, 2.0, 0.5], [1.0, 0.0, -1.0, 0.2], [-0.5, 0.1, 1.5, 0.7]], "float32")


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def loss_and_gradient(loss, possible, logits, in_graph):
    def step(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(possible, keras.activations.softmax(logits))
        return value, tape.gradient(value, logits)

    value, gradient = (tf.function(step) if in_graph else step)(tf.constant(logits))
    return float(value), gradient.numpy()


@pytest.mark.parametrize("in_graph", [True, False])
def test_the_loss_is_that_of_the_summed_probability_and_so_is_its_gradient(in_graph):
    value, gradient = loss_and_gradient(PartialLabelCrossentropy(), POSSIBLE, LOGITS, in_graph)
    p = softmax(LOGITS.astype("float64"))
    share = (p * POSSIBLE).sum(axis=1, keepdims=True)
    assert value == pytest.approx(-np.log(share).mean(), rel=1e-6)
    # d/dz_c of log sum_S exp(z) - log sum exp(z): p_c / P(S) inside S, minus p_c everywhere; negative, mean.
    expected = (p - np.where(POSSIBLE > 0, p / share, 0)) / len(POSSIBLE)
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_the_gradient_does_not_vanish_where_the_softmax_saturates():
    logits, possible = np.array([[300.0, 0, -10]], "float32"), np.array([[0, 1, 1]], "float32")
    value, gradient = loss_and_gradient(PartialLabelCrossentropy(), possible, logits, in_graph=True)
    assert value == pytest.approx(300, rel=1e-4)
    np.testing.assert_allclose(gradient, [[1, -1, 0]], atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_complete_labels_have_the_loss_and_gradient_of_keras(smoothing):
    possible = np.eye(4, dtype="float32")[[2, 0, 1]]
    found = loss_and_gradient(PartialLabelCrossentropy(smoothing), possible, LOGITS, in_graph=True)
    keras_loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    expected = loss_and_gradient(keras_loss, possible, LOGITS, in_graph=True)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-7)


def test_smoothing_spreads_its_share_over_all_classes():
    value, _ = loss_and_gradient(PartialLabelCrossentropy(0.3), POSSIBLE, LOGITS, in_graph=True)
    p = softmax(LOGITS.astype("float64"))
    expected = -0.7 * np.log((p * POSSIBLE).sum(axis=1)) - 0.3 / 4 * np.log(p).sum(axis=1)
    assert value == pytest.approx(expected.mean(), rel=1e-6)


def test_a_partial_label_has_the_mean_weight_of_its_classes():
    weights = [0.5, 1.0, 2.0, 4.0]
    value, _ = loss_and_gradient(PartialLabelCrossentropy(0.0, weights), POSSIBLE, LOGITS, in_graph=True)
    share = (softmax(LOGITS.astype("float64")) * POSSIBLE).sum(axis=1)
    assert value == pytest.approx((-np.log(share) * [1.5, 0.5, 5.5 / 3]).mean(), rel=1e-6)


def test_balanced_weights_have_a_mean_of_one_over_the_images():
    possible = np.array([[1, 0, 0]] * 4 + [[0, 1, 0]] + [[0, 0, 1]] + [[0, 1, 1]] * 2, "float32")
    weights = balanced_weights(possible)
    # Images of each class: 4, 1 + 2 / 2, 1 + 2 / 2, of 8.
    assert weights.tolist() == pytest.approx([8 / 12, 8 / 6, 8 / 6])
    assert np.mean((possible * weights).sum(axis=1) / possible.sum(axis=1)) == pytest.approx(1)


def test_the_array_loss_and_the_accuracy():
    p = np.array([[0.5, 0.2, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1]])
    assert partial_label_loss(POSSIBLE, p) == pytest.approx(-np.log([0.4, 0.7, 0.8]))
    assert partial_label_loss(POSSIBLE[1:2], np.array([[0, 1.0, 0, 0]])) == pytest.approx([-np.log(1e-7)])
    assert keras.ops.convert_to_numpy(possible_accuracy(POSSIBLE, p)).tolist() == [0, 1, 1]


def compiled(recipe, possible):
    model = build_network(recipe)
    compile_network(model, recipe, 10, jit_compile=False, labels=possible)
    return model


def test_only_partial_labels_change_the_loss(tiny_recipe):
    recipe = tiny_recipe("vgg19_gap")
    complete = np.eye(3, dtype="float32")
    assert compiled(recipe, complete).loss.__class__ is keras.losses.CategoricalCrossentropy
    assert compiled(recipe, None).loss.__class__ is keras.losses.CategoricalCrossentropy
    partial = np.concatenate([complete, [[0, 1, 1]]])
    assert compiled(recipe, partial).loss.__class__ is PartialLabelCrossentropy


def test_the_loss_holds_the_class_weights_of_partial_labels(tiny_recipe):
    recipe = tiny_recipe("vgg19_gap", class_weights="balanced")
    labels = ["normal", "normal", "bacteria", "virus", "bacteria|virus"]
    rows = pd.DataFrame({"label": labels, "file": "x"})
    assert class_weights(recipe, rows) is None
    assert class_weights(recipe, rows[:4]) == pytest.approx({0: 4 / 6, 1: 4 / 3, 2: 4 / 3})
    possible = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], "float32")
    loss = compiled(recipe, possible).loss
    np.testing.assert_allclose(loss.class_weights, [5 / 6, 5 / 4.5, 5 / 4.5], rtol=1e-6)


def test_moment_exchange_mixes_the_losses_of_partial_labels(tiny_recipe):
    """lam * l(y) + (1 - lam) * l(partner's y), the partner being the image before."""
    recipe = tiny_recipe("moex_resnet50", moex_p=1.0, moex_lam=0.7, class_weights="balanced")
    possible = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]], "float32")
    model = compiled(recipe, possible)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1)).astype("float32")
    outputs = model(images, training=True)
    found = float(model.compute_loss(images, possible, outputs, training=True))
    p = outputs.numpy().astype("float64")
    weights = balanced_weights(possible)

    def loss(y):
        return -np.log((p * y).sum(axis=1) / p.sum(axis=1)) * (y * weights).sum(axis=1) / y.sum(axis=1)

    expected = 0.7 * loss(possible) + 0.3 * loss(np.roll(possible, 1, axis=0))
    assert found == pytest.approx(expected.mean(), rel=1e-5)


def partial_manifest(phantoms, folder):
    """Returns a manifest in which half of bacteria and virus say that they are one of the two."""
    table = pd.read_csv(phantoms, dtype=str, keep_default_na=False)
    table["file"] = [str(phantoms.parent / file) for file in table["file"]]
    table["mask"] = [str(phantoms.parent / file) for file in table["mask"]]
    for label in ("bacteria", "virus"):
        of_label = table.index[table["label"] == label]
        table.loc[of_label[::2], "label"] = "bacteria|virus"
    path = folder / "partial.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("changes", [{"ema": 0.5, "precision": "mixed_bfloat16"}, {"teacher": True}])
def test_a_run_learns_from_partial_labels(phantoms, classifier_run, tiny_recipe, tmp_path, changes):
    if "teacher" in changes:
        changes = {"teacher": str(classifier_run)}
    recipe = tiny_recipe("seme_resnet50", class_weights="balanced", label_smoothing=0.1, epochs=1, **changes)
    run = train(recipe, partial_manifest(phantoms, tmp_path), tmp_path / "run")
    assert run.record["status"] == "finished"
    assert np.isfinite(run.history["loss"].to_numpy()).all()


def test_a_class_that_only_partial_labels_name_is_refused(phantoms, tiny_recipe, tmp_path):
    path = partial_manifest(phantoms, tmp_path)
    table = pd.read_csv(path, dtype=str)
    table["label"] = table["label"].replace("virus", "bacteria|virus")
    table.to_csv(path, index=False)
    with pytest.raises(ManifestError, match="label names it alone.*has none of virus"):
        train(tiny_recipe("vgg19_gap"), path, tmp_path / "run")
