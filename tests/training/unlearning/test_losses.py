"""Group weights, the gradient reversal, the source classifier and the attention loss, each against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from semenet.training.unlearning.gradient_reversal import reversal_ramp, reverse_gradient
from semenet.training.unlearning.group_weights import GroupLosses, GroupWeights
from semenet.training.unlearning.lung_attention import AttentionOutsideLungs, class_activation
from semenet.training.unlearning.source_classifier import SourceClassifier


class ReferenceWeights:
    """The weights of groups as in `LossComputer.compute_robust_loss` of the authors' code, in NumPy.

    Differs from it in two ways: the weights of groups that are not in the batch do not rise by the adjustment
    (the paper's algorithm 1 updates only the group that was drawn), and the losses are float64.
    """

    def __init__(self, counts, step, adjustment):
        self.step, self.adjustment = step, adjustment / np.sqrt(np.asarray(counts))
        self.adv_probs = np.ones(len(counts)) / len(counts)

    def robust_loss(self, losses, groups):
        group_count = np.array([(groups == group).sum() for group in range(len(self.adv_probs))])
        group_loss = np.array(
            [
                losses[groups == group].mean() if group_count[group] else 0.0
                for group in range(len(group_count))
            ]
        )
        adjusted = np.where(group_count > 0, group_loss + self.adjustment, 0.0)
        self.adv_probs = self.adv_probs * np.exp(self.step * adjusted)
        self.adv_probs /= self.adv_probs.sum()
        return group_loss @ self.adv_probs


def test_any_backend_a_step_worked_by_hand():
    """Losses 1 and 3 of two groups, step ln 2: the weights rise by 2 and 8, to 1/5 and 4/5."""
    groups = GroupWeights(("a", "b"), (50, 50), step=float(np.log(2)))
    weights = ops.convert_to_numpy(groups.weigh(np.array([0.5, 1.5, 3.0]), np.array([0, 0, 1])))
    np.testing.assert_allclose(weights, [0.3, 0.3, 2.4], rtol=1e-6)
    assert groups.shares() == pytest.approx({"a": 0.2, "b": 0.8})
    # The mean of the weighted losses: 1/5 of 1 and 4/5 of 3.
    assert np.mean(weights * [0.5, 1.5, 3.0]) == pytest.approx(2.6)


@pytest.mark.parametrize("adjustment", [0.0, 2.0])
def test_any_backend_the_weights_follow_the_authors_code(adjustment):
    rng = np.random.default_rng(0)
    counts = (400, 90, 9, 1)
    reference = ReferenceWeights(counts, 0.3, adjustment)
    groups = GroupWeights("abcd", counts, step=0.3, adjustment=adjustment)
    for _ in range(30):
        numbers = rng.choice(4, 16, p=np.array(counts) / 500)
        losses = rng.exponential(1 + numbers).astype("float32")
        weights = ops.convert_to_numpy(groups.weigh(losses, numbers))
        assert np.mean(weights * losses) == pytest.approx(reference.robust_loss(losses, numbers), rel=1e-4)
    np.testing.assert_allclose(list(groups.shares().values()), reference.adv_probs, rtol=1e-4)
    assert sum(groups.shares().values()) == pytest.approx(1, abs=1e-5)


def test_any_backend_a_tiny_weight_can_rise_again():
    groups = GroupWeights(("a", "b"), (1, 1), step=1.0)
    groups.weigh(np.array([300.0, 0.0]), np.array([0, 1]))
    assert groups.shares()["b"] < 1e-100
    groups.weigh(np.array([0.0, 300.0]), np.array([0, 1]))
    assert groups.shares() == pytest.approx({"a": 0.5, "b": 0.5})


def test_no_gradient_flows_through_the_weights():
    import tensorflow as tf

    groups = GroupWeights(("a", "b"), (5, 5), step=1.0)
    losses = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(losses)
        weights = groups.weigh(losses, tf.constant([0, 1, 1]))
        total = tf.reduce_sum(weights * losses)
    np.testing.assert_allclose(tape.gradient(total, losses), weights)


def test_any_backend_mean_losses_of_an_epoch():
    losses = GroupLosses(("a", "b", "c"))
    losses.update_state(np.array([1.0, 2.0, 6.0]), np.array([0, 1, 0]))
    losses.update_state(np.array([5.0]), np.array([0]))
    found = {name: float(value) for name, value in losses.result().items()}
    assert found["group_loss a"] == 4
    assert found["group_loss b"] == 2
    assert np.isnan(found["group_loss c"])


def test_the_gradient_is_reversed_and_the_value_is_kept_to_the_bit():
    import tensorflow as tf

    values = np.random.default_rng(0).normal(0, 1e3, (5, 7)).astype("float32")
    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        reversed_x = reverse_gradient(x, 0.3)
        loss = tf.reduce_sum(tf.square(reversed_x))
    np.testing.assert_array_equal(reversed_x, values)
    np.testing.assert_allclose(tape.gradient(loss, x), -0.3 * 2 * values, rtol=1e-6)


def test_any_backend_the_ramp_of_ganin():
    expected = [2 / (1 + np.exp(-10 * p)) - 1 for p in (0.0, 0.25, 1.0)]
    assert [float(reversal_ramp(p)) for p in (0.0, 0.25, 1.0)] == pytest.approx(expected, abs=1e-6)


def test_any_backend_each_value_has_a_classifier_of_its_own():
    classifier = SourceClassifier(channels=5, sources=3, values=2)
    for weight in (classifier.hidden_bias, classifier.output_bias):
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    features = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    within = np.array([0, 1, 1, 0])
    found = ops.convert_to_numpy(classifier(features, within))
    kernels, outputs = (weight.numpy() for weight in (classifier.hidden_kernel, classifier.output_kernel))
    biases, output_biases = (weight.numpy() for weight in (classifier.hidden_bias, classifier.output_bias))
    for row, value in enumerate(within):
        scaled = (features[row] - features[row].mean()) / np.sqrt(features[row].var() + 1e-6)
        hidden = np.maximum(scaled @ kernels[value] + biases[value], 0)
        expected = hidden @ outputs[value] + output_biases[value]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    larger = ops.convert_to_numpy(classifier(1000 * features, within))
    np.testing.assert_allclose(larger, found, rtol=1e-3, atol=1e-4)


def test_any_backend_the_class_activation_is_that_of_the_true_class():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 2, 4, 6)).astype("float32")
    kernel = rng.normal(size=(6, 3)).astype("float32")
    labels = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 1]], "float32")
    found = ops.convert_to_numpy(class_activation(features, kernel, labels))
    weights = [kernel[:, 1], kernel[:, 0], (kernel[:, 1] + kernel[:, 2]) / 2]
    expected = [np.maximum(image @ weight, 0) for image, weight in zip(features, weights, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_any_backend_the_share_outside_worked_by_hand():
    """Each cell of the map covers 2 x 2 pixels; a triangle filter also weighs its neighbours."""
    mask = np.zeros((1, 4, 8), np.uint8)
    mask[:, :, :4] = 1
    lungs = ops.convert_to_numpy(
        keras.ops.image.resize(mask[..., None].astype("float32"), (2, 4), antialias=True)
    )[0, :, :, 0]
    activation = np.array([[[4, 0, 1, 3], [0, 2, 0, 0]]], "float32")
    expected = (activation[0] * (1 - lungs)).sum() / activation.sum()
    assert float(AttentionOutsideLungs()(mask, activation)) == pytest.approx(expected, rel=1e-5)
    everywhere = AttentionOutsideLungs()(np.ones((1, 4, 8)), activation)
    nowhere = AttentionOutsideLungs()(np.zeros((1, 4, 8)), activation)
    assert float(everywhere) == pytest.approx(0, abs=1e-6)
    assert float(nowhere) == pytest.approx(1)


def test_an_activation_of_zeros_costs_nothing_and_has_a_finite_gradient():
    import tensorflow as tf

    features = tf.zeros((2, 2, 2, 3))
    with tf.GradientTape() as tape:
        tape.watch(features)
        activation = class_activation(features, tf.ones((3, 2)), tf.constant([[1.0, 0.0], [0.0, 1.0]]))
        loss = AttentionOutsideLungs()(tf.zeros((2, 4, 4)), activation)
    assert float(loss) == 0
    assert np.isfinite(tape.gradient(loss, features)).all()


def test_the_attention_moves_into_the_lungs():
    """Gradient steps on features alone move the activation to where the mask is."""
    import tensorflow as tf

    features = tf.Variable(np.ones((1, 2, 2, 1), "float32"))
    lungs = np.zeros((1, 8, 8), np.uint8)
    lungs[:, :, :4] = 1
    for _ in range(50):
        with tf.GradientTape() as tape:
            activation = class_activation(features, np.ones((1, 1), "float32"), np.ones((1, 1), "float32"))
            loss = AttentionOutsideLungs()(lungs, activation)
        features.assign_sub(2.0 * tape.gradient(loss, features))
    left, right = features.numpy()[0, :, 0, 0], features.numpy()[0, :, 1, 0]
    assert (left > 2 * right).all()
