"""The training-only model: its loss against NumPy, its state, and what the network keeps of it."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from semenet.models.layers.heads import ClassifierHead, global_average
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange
from semenet.training.distillation.distillation import Distillation, head_logits, soften
from semenet.training.unlearning.gradient_reversal import reversal_ramp
from semenet.training.unlearning.group_weights import GroupWeights
from semenet.training.unlearning.source_classifier import SourceClassifier
from semenet.training.unlearning.source_unlearning import SourceUnlearning

CLASSES = ("normal", "bacteria", "virus")
GROUPS = np.array([0, 1, 1, 0, 0, 1])


def network(p=None, seed=0):
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="rescaling")(image)
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
    x = keras.layers.Conv2D(6, 3, 4, "same", kernel_initializer=initializer, name="conv")(x)
    if p is not None:
        x = MomentExchange(p, 0.7, seed=3, name="moex")(x)
    x = keras.layers.Activation("relu", name="features")(x)
    head = ClassifierHead(CLASSES, activation="softmax", kernel_initializer=initializer, name="head")
    return (keras.Model if p is None else MoExModel)(image, head(global_average(x)), name="net")


def inputs():
    rng = np.random.default_rng(5)
    lungs = np.zeros((6, 16, 16), np.uint8)
    lungs[:, 4:12, 2:10] = 1
    x = {
        "images": rng.integers(0, 256, (6, 16, 16, 1)).astype("uint8"),
        "group": GROUPS.astype("int32"),
        "source": np.array([0, 1, 1, 0, 1, 0], "int32"),
        "within": np.array([0, 0, 1, 1, 0, 1], "int32"),
        "source_weight": np.array([1, 0.5, 1.5, 1, 0, 2], "float32"),
        "lungs": lungs,
    }
    return x, np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]


def whole(net, model=None, steps=10):
    model = SourceUnlearning(
        net if model is None else model,
        net,
        groups=GroupWeights(("a", "b"), (60, 40), step=0.5, adjustment=1.0),
        classifier=SourceClassifier(6, 2, 2),
        classifier_weight=0.8,
        attention_weight=0.4,
        steps=steps,
    )
    model.compile("sgd", keras.losses.CategoricalCrossentropy(), metrics=["accuracy"])
    return model


def cross_entropy(labels, probabilities):
    return -np.log((labels * probabilities).sum(-1))


@pytest.mark.parametrize("p", [None, 0.0, 1.0])
def test_any_backend_the_loss_of_a_step(p):
    net = network(p)
    model = whole(net)
    x, y = inputs()
    answer = model(x, training=True)
    loss = float(model.compute_loss(x, y, answer, None, training=True))

    outputs, features = (np.asarray(answer[name], "float64") for name in ("outputs", "features"))
    own = cross_entropy(y, outputs)
    means = np.array([own[group == GROUPS].mean() for group in (0, 1)])
    shares = np.exp(0.5 * (means + 1 / np.sqrt([60, 40])))
    shares /= shares.sum()
    weights = (shares / 3 * 6)[GROUPS]
    assert list(model.groups.shares().values()) == pytest.approx(shares, rel=1e-5)
    if p:
        partner = np.roll(weights, 1) * cross_entropy(np.roll(y, 1, axis=0), outputs)
        hard = np.mean(0.7 * weights * own + 0.3 * partner)
    else:
        hard = np.mean(weights * own)
        assert hard == pytest.approx(shares @ means)

    pooled = features.mean((1, 2)).astype("float32")
    logits = np.asarray(model.classifier(pooled, x["within"]), "float64")
    powers = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    source = np.mean(x["source_weight"] * cross_entropy(np.eye(2)[x["source"]], powers))

    kernel = np.asarray(net.get_layer("head").kernel)
    activation = np.maximum(np.einsum("nhwc,nc->nhw", features, kernel.T[y.argmax(-1)]), 0)
    lungs = keras.ops.image.resize(x["lungs"][..., None].astype("float32"), (4, 4), antialias=True)
    outside = (activation * (1 - np.asarray(lungs)[..., 0])).sum((1, 2)) / activation.sum((1, 2))
    assert loss == pytest.approx(hard + source + 0.4 * outside.mean(), rel=1e-4)
    found = {metric.name: metric.result() for metric in model.metrics if metric.name.startswith("source")}
    assert float(found["source_loss"]) == pytest.approx(source * 6 / x["source_weight"].sum(), rel=1e-4)


def test_the_gradient_of_the_classifier_reaches_the_network_reversed():
    import tensorflow as tf

    net = network()
    x, y = inputs()
    model = SourceUnlearning(net, net, classifier=SourceClassifier(6, 2, 2), classifier_weight=0.8, steps=8)
    model.compile("sgd", keras.losses.CategoricalCrossentropy())
    kernel, own_kernel = net.get_layer("conv").kernel, model.classifier.hidden_kernel

    def gradients(loss_of):
        with tf.GradientTape() as tape:
            answer = model(x, training=True)
            loss = loss_of(answer)
        return tape.gradient(loss, [kernel.value, own_kernel.value])

    def plain_source_loss(answer):
        pooled = ops.mean(answer["features"], axis=(1, 2))
        logits = model.classifier(pooled, x["within"])
        return model.source_loss(x["source"], logits, x["source_weight"])

    def network_loss(answer):
        return net.compute_loss(x["images"], y, answer["outputs"], None, training=True)

    model.steps_done.assign(4)
    together, classifier = gradients(lambda answer: model.compute_loss(x, y, answer, None, training=True))
    alone, _ = gradients(network_loss)
    source, source_classifier = gradients(plain_source_loss)
    strength = 0.8 * float(reversal_ramp(0.5))
    np.testing.assert_allclose(together, alone - strength * source, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(classifier, source_classifier, rtol=1e-5)
    assert float(model.steps_done) == 5


def test_any_backend_group_weights_apply_to_the_labels_of_a_distillation():
    teacher, net = network(seed=1), network()
    distillation = Distillation(net, teacher, soft_weight=0.4)
    (x, y), losses = inputs(), []
    for model in (distillation, net):
        unlearning = SourceUnlearning(model, net, groups=GroupWeights(("a", "b"), (60, 40), 0.5, 1.0))
        unlearning.compile("sgd", keras.losses.CategoricalCrossentropy())
        answer = unlearning(x, training=True)
        losses.append(float(unlearning.compute_loss(x, y, answer, None, training=True)))
    taught = distillation.teacher_taps(x["images"], training=False)
    labels = soften(head_logits(teacher, taught["pooled"]), 4.0)
    soft = float(distillation.soft_labels(labels, head_logits(net, answer["pooled"])))
    assert losses[0] == pytest.approx(0.6 * losses[1] + 0.4 * soft, rel=1e-5)


def test_any_backend_predicts_and_evaluates_as_the_network():
    net = network()
    model = whole(net)
    x, y = inputs()
    np.testing.assert_array_equal(model(x, training=False), net(x["images"], training=False))
    outputs = model(x, training=False)
    expected = cross_entropy(y, np.asarray(outputs)).mean()
    assert float(model.compute_loss(x, y, outputs, None, training=False)) == pytest.approx(expected, rel=1e-5)
    assert float(model.steps_done) == 0


def test_any_backend_training_changes_the_network_and_all_state_is_reported():
    net = network(p=0.5)
    model = whole(net)
    x, y = inputs()
    before = [weight.numpy().copy() for weight in net.trainable_weights]
    history = model.fit(x, y, batch_size=6, epochs=3, verbose=0).history
    assert {"loss", "accuracy", "source_loss", "source_accuracy", "attention_outside_lungs"} < set(history)
    assert {"group_loss a", "group_loss b"} < set(history)
    assert any((old != new.numpy()).any() for old, new in zip(before, net.trainable_weights, strict=True))
    assert float(model.steps_done) == 3
    variables = {id(variable) for variable in model.own_variables}
    assert not variables & {id(variable) for variable in net.variables}
    others = {id(variable) for variable in model.variables} - {id(variable) for variable in net.variables}
    metrics = {id(variable) for variable in model.metrics_variables}
    optimizer = {id(variable) for variable in model.optimizer.variables}
    assert others - metrics - optimizer == variables


@pytest.mark.parametrize("mixed_policy", ["mixed_bfloat16", "mixed_float16"], indirect=True)
def test_losses_are_float32_under_mixed_precision(mixed_policy):
    model = whole(network(p=0.5))
    x, y = inputs()
    answer = model(x, training=True)
    assert ops.dtype(answer["features"]) == mixed_policy.removeprefix("mixed_")
    loss = model.compute_loss(x, y, answer, None, training=True)
    assert ops.dtype(loss) == "float32"
    assert np.isfinite(float(loss))
    assert all(variable.dtype == "float32" for variable in model.own_variables)
    model.fit(x, y, verbose=0)


@pytest.mark.slow
def test_on_jax():
    # Not above, as TWO_DEVICES imports this file without that folder.
    from jax_process import jax_environment

    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed: pip install 'semenet[jax]'")
    files = [__file__, os.path.join(os.path.dirname(__file__), "test_losses.py")]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "any_backend", *files],
        env=jax_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


TWO_DEVICES = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from test_source_unlearning import inputs, network, whole
def trained(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = whole(network(p=1.0))
        loss = keras.losses.CategoricalCrossentropy()
        model.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"], jit_compile=False)
    history = model.fit(tf.data.Dataset.from_tensor_slices(inputs()).batch(6), epochs=4, verbose=0).history
    weights = [*model.network.get_weights(), *(variable.numpy() for variable in model.own_variables)]
    return list(map(np.array, history.values())), weights
one, two = trained(tf.distribute.get_strategy()), trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for mine, theirs in zip([*one[0], *one[1]], [*two[0], *two[1]], strict=True):
    np.testing.assert_allclose(theirs, mine, rtol=1e-3, atol=1e-5)
print("same")
"""


@pytest.mark.slow
def test_two_devices_train_like_one():
    """The groups' losses are those of the whole batch, and all losses are averaged over the replicas."""
    result = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip().endswith("same"), result.stderr
