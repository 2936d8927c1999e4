import importlib.util
import os
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
from keras import ops

import semenet
from semenet.data.transforms.lung_view import LungView
from semenet.models.layers.heads import ClassifierHead, global_average
from semenet.models.layers.moment_exchange import MoExModel, MomentExchange
from semenet.training.distillation.distillation import (
    AttentionTransfer,
    Distillation,
    SoftLabels,
    distil,
    head_logits,
    soften,
)
from semenet.training.distillation.image_fitting import fit_images, resize
from semenet.training.distillation.teacher import TeacherError

CLASSES = ("normal", "bacteria", "virus")


def network(side=16, channels=1, filters=4, strides=4, p=None, seed=0, normalise=True):
    """Returns a network like those of the zoo, with one convolution."""
    image = keras.Input((side, side, channels), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="rescaling")(image)
    initializer = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
    x = keras.layers.Conv2D(filters, 3, strides, "same", kernel_initializer=initializer, name="conv")(x)
    if normalise:
        x = keras.layers.BatchNormalization(name="bn")(x)
    if p is not None:
        x = MomentExchange(p, 0.7, seed=3, name="moex")(x)
    x = keras.layers.Activation("relu", name="relu")(x)
    x = keras.layers.Identity(name="features")(x)
    head = ClassifierHead(CLASSES, activation="softmax", kernel_initializer=initializer, name="head")
    model = (keras.Model if p is None else MoExModel)(image, head(global_average(x)), name=f"net{seed}")
    model.class_names = CLASSES
    return model


def batch(count=6, side=16, channels=1):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (count, side, side, 1)).repeat(channels, -1).astype("uint8")
    return images, np.eye(3, dtype="float32")[rng.integers(0, 3, count)]


def softmax(logits):
    powers = np.exp(np.asarray(logits, "float64") - np.max(logits, -1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def divergence(labels, logits, temperature):
    """Computes the loss of Hinton et al., section 2, in NumPy: one value per image."""
    student = softmax(np.asarray(logits, "float64") / temperature)
    terms = np.where(labels > 0, labels * np.log(np.maximum(labels, 1e-300) / student), 0.0)
    return temperature**2 * terms.sum(-1)


def attention(features):
    """Computes the attention of Zagoruyko and Komodakis, section 3.1, in NumPy: `(N, H * W)` of length 1."""
    squares = (np.asarray(features, "float64") ** 2).sum(-1).reshape(len(features), -1)
    return squares / np.linalg.norm(squares, axis=-1, keepdims=True)


def taught_by(teacher, images):
    """Returns the teacher's probabilities and features in inference."""
    model = keras.Model(teacher.inputs, [teacher.outputs[0], teacher.get_layer("features").output])
    return [ops.convert_to_numpy(value) for value in model(images, training=False)]


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_any_backend_soft_labels_equal_the_formula_of_hinton(temperature):
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(0, 6, (2, 7, 5)).astype("float32")
    labels = ops.convert_to_numpy(soften(teacher, temperature))
    np.testing.assert_allclose(labels, softmax(teacher / temperature), rtol=1e-5)
    received = float(SoftLabels(temperature)(labels, student))
    assert received == pytest.approx(divergence(labels, student, temperature).mean(), rel=1e-5)
    assert float(SoftLabels(temperature)(labels, teacher)) == pytest.approx(0, abs=1e-4)


def test_any_backend_soft_labels_equal_the_loss_of_keras():
    """They agree where the clipping of Keras has no effect."""
    teacher, student = np.random.default_rng(0).normal(0, 2, (2, 7, 5)).astype("float32")
    theirs = keras.distillation.LogitsDistillation(3.0, loss=keras.losses.KLDivergence())
    expected = theirs.compute_loss(teacher, student)
    assert float(SoftLabels(3.0)(soften(teacher, 3.0), student)) == pytest.approx(float(expected), rel=1e-4)


def test_any_backend_distant_logits_have_a_gradient():
    """The student is certain and wrong; its probabilities, clipped or not, are constant there."""
    labels = np.array([[1.0, 0.0]], "float32")
    losses = [float(SoftLabels(1.0)(labels, np.array([[-gap, gap]], "float32"))) for gap in (100, 101)]
    assert losses == pytest.approx([200, 202])


def test_any_backend_attention_equals_the_formula_of_zagoruyko_and_komodakis():
    teacher, student = np.random.default_rng(0).normal(1, 2, (2, 3, 4, 5, 8)).astype("float32")
    expected = ((attention(teacher) - attention(student)) ** 2).sum(-1).mean()
    received = [float(AttentionTransfer()(scale * teacher, student[..., :6])) for scale in (1, 30)]
    narrower = ((attention(teacher) - attention(student[..., :6])) ** 2).sum(-1).mean()
    assert received == pytest.approx([narrower, narrower], rel=1e-5)
    assert float(AttentionTransfer()(teacher, student)) == pytest.approx(expected, rel=1e-5)
    assert float(AttentionTransfer()(teacher, 7 * teacher)) == pytest.approx(0, abs=1e-6)


def test_any_backend_attention_of_feature_maps_of_different_size():
    """Both maps get the smaller height and width; squares, not features, are averaged."""
    teacher, student = np.zeros((1, 8, 4, 2), "float32"), np.zeros((1, 4, 8, 3), "float32")
    teacher[:, 4:, :2], student[:, 2:, :4] = 3.0, -1.0
    # Not 0, because the filter blurs the edge between the parts.
    assert float(AttentionTransfer()(teacher, student)) < 0.05
    assert float(AttentionTransfer()(teacher, student[:, ::-1])) > 1


def test_features_of_zeros_have_a_finite_gradient():
    import tensorflow as tf

    features = tf.zeros((2, 4, 4, 3))
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = AttentionTransfer()(tf.ones((2, 4, 4, 3)), features)
    assert float(loss) == pytest.approx(1)
    assert np.isfinite(tape.gradient(loss, features)).all()


@pytest.mark.parametrize("size", [(5, 9), (16, 12), (37, 30), (8, 64)])
def test_any_backend_resizes_like_keras(size):
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype("float32")
    expected = keras.ops.image.resize(images, size, antialias=True, data_format="channels_last")
    np.testing.assert_allclose(resize(images, size), expected, atol=1e-3)


def test_any_backend_images_are_converted_to_the_teacher_s_input():
    grey, _ = batch()
    rgb = grey.repeat(3, -1)
    for images, shape in [(grey, (16, 16, 1)), (grey, (None, None, 1)), (rgb, (16, 16, 3))]:
        np.testing.assert_array_equal(fit_images(images, shape), images)
    np.testing.assert_array_equal(fit_images(grey, (16, 16, 3)), rgb)
    np.testing.assert_array_equal(fit_images(rgb, (None, None, 1)), grey)
    fitted = ops.convert_to_numpy(fit_images(grey, (32, 24, 3)))
    assert fitted.shape == (6, 32, 24, 3)
    assert (fitted == fitted.round()).all()
    assert abs(fitted - ops.convert_to_numpy(resize(rgb.astype("float32"), (32, 24)))).max() <= 0.5001


@pytest.mark.parametrize("p", [None, 0.0, 1.0])
@pytest.mark.parametrize(
    ("soft_weight", "attention_weight"), [(0.3, 0.0), (0.3, 2.0), (0.0, 2.0), (1.0, 0.0)]
)
def test_any_backend_the_loss_of_a_step(p, soft_weight, attention_weight):
    """The loss equals one in NumPy; the exchange mixes labels, weights and soft labels."""
    teacher = network(side=32, channels=3, p=1.0, seed=1)
    model = Distillation(
        network(p=p), teacher, temperature=4.0, soft_weight=soft_weight, attention_weight=attention_weight
    )
    model.compile("sgd", "categorical_crossentropy")
    (images, y), weights = batch(), np.array([1, 2, 3, 1, 0.5, 4], "float32")
    answer = model(images, training=True)
    loss = float(model.compute_loss(images, y, answer, weights, training=True))

    logits = head_logits(model.student, answer["pooled"])
    probabilities, features = taught_by(teacher, fit_images(images, (32, 32, 3)))
    np.testing.assert_allclose(softmax(logits), answer["outputs"], rtol=1e-4)
    mix = 0.7 if p == 1.0 else 1.0
    cross_entropy = -np.log(softmax(logits))
    own, partner = (
        (np.roll(weights, by) * (np.roll(y, by, 0) * cross_entropy).sum(-1)).mean() for by in (0, 1)
    )
    # Independently of `soften`: probabilities to the power 1 / T, scaled to a sum of 1.
    labels = probabilities.astype("float64") ** 0.25
    labels /= labels.sum(-1, keepdims=True)
    labels = mix * labels + (1 - mix) * np.roll(labels, 1, 0)
    soft = divergence(labels, logits, 4.0).mean()
    squares = (features.astype("float64") ** 2).sum(-1)
    pooled = ops.image.resize(squares[..., None], (4, 4), antialias=True, data_format="channels_last")
    distances = attention(np.sqrt(ops.convert_to_numpy(pooled))) - attention(answer["features"])
    expected = (1 - soft_weight) * (mix * own + (1 - mix) * partner) + soft_weight * soft
    expected += attention_weight * (distances**2).sum(-1).mean()
    assert loss == pytest.approx(expected, rel=1e-4)


def test_any_backend_trains_the_student_and_not_the_teacher(tmp_path):
    student, teacher = network(p=0.5), network(seed=1)
    model = Distillation(student, teacher, attention_weight=1.0)
    model.compile(keras.optimizers.SGD(0.05), "categorical_crossentropy", metrics=["accuracy"])
    assert [id(v) for v in model.trainable_variables] == [id(v) for v in student.trainable_variables]
    assert not {id(v) for v in student.variables} & {id(v) for v in teacher.variables}
    model.optimizer.build(model.trainable_variables)
    before, taught = ({v.path: ops.convert_to_numpy(v) for v in m.weights} for m in (student, teacher))
    images, y = batch()
    history = model.fit(images, y, sample_weight=np.ones(6), epochs=8, verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert history["loss"][-1] < history["loss"][0]
    for variable in teacher.weights:
        np.testing.assert_array_equal(variable, taught[variable.path])
    for variable in student.weights:
        assert (ops.convert_to_numpy(variable) != before[variable.path]).any(), variable.path

    network_alone = type(student)(student.inputs, student.outputs)
    network_alone.save(tmp_path / "alone.keras")
    student.save(tmp_path / "compiled.keras")
    for file in ("alone.keras", "compiled.keras"):
        loaded = semenet.load_model(tmp_path / file)
        assert type(loaded) is MoExModel
        assert loaded.count_params() == student.count_params() == network().count_params()
        np.testing.assert_allclose(
            loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6
        )


def test_the_variables_are_the_student_s_and_the_teacher_s():
    student, teacher = network(), network(seed=1)
    model = Distillation(student, teacher)
    expected = [*student.weights, *teacher.weights]
    assert sorted(map(id, model.weights)) == sorted(map(id, expected))
    assert not any(variable.trainable for variable in teacher.weights)


def test_any_backend_validation_and_prediction_use_the_student():
    student, teacher = network(p=1.0), network(seed=1)
    model = Distillation(student, teacher, soft_weight=0.9, attention_weight=5.0)
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", metrics=["accuracy"])
    images, y = batch()
    probabilities = student.predict(images, verbose=0)
    np.testing.assert_array_equal(model.predict(images, verbose=0), probabilities)
    metrics = model.evaluate(images, y, verbose=0, return_dict=True)
    assert set(metrics) == {"loss", "accuracy"}
    assert metrics["loss"] == pytest.approx(-np.log((probabilities * y).sum(-1)).mean(), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx((probabilities.argmax(-1) == y.argmax(-1)).mean())


def test_any_backend_training_metrics_use_the_student():
    model = Distillation(network(normalise=False), network(seed=1))
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", metrics=["accuracy"])
    images, y = batch(12)
    accuracy = (model.predict(images, verbose=0).argmax(-1) == y.argmax(-1)).mean()
    assert 0 < accuracy < 1
    assert model.fit(images, y, verbose=0).history["accuracy"] == pytest.approx([accuracy])


@pytest.mark.parametrize("mixed_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_any_backend_mixed_precision(mixed_policy):
    """Losses are in float32: squares of features above 256 would overflow float16."""
    student, teacher = network(p=1.0, normalise=False), network(seed=1, normalise=False)
    kernel, bias = teacher.get_layer("conv").get_weights()
    teacher.get_layer("conv").set_weights([300 * kernel, bias])
    model = Distillation(student, teacher, soft_weight=0.5, attention_weight=1.0)
    model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy")
    images, y = batch()
    answer = model(images, training=True)
    assert keras.backend.standardize_dtype(answer["features"].dtype) == mixed_policy.removeprefix("mixed_")
    logits = head_logits(student, answer["pooled"])
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    loss = model.compute_loss(images, y, answer)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert np.isfinite(float(loss))
    before = student.get_layer("conv").get_weights()[0]
    assert np.isfinite(model.fit(images, y, epochs=3, verbose=0).history["loss"]).all()
    assert (student.get_layer("conv").get_weights()[0] != before).any()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"temperature": 0.0}, "--distill-temperature must be positive. Received: 0.0"),
        ({"temperature": float("nan")}, "--distill-temperature must be positive"),
        ({"soft_weight": 1.5}, r"--distill-weight must be in \[0, 1\]. Received: 1.5"),
        ({"attention_weight": -1.0}, "--attention-weight must be 0 or more"),
        ({"soft_weight": 0.0}, "--distill-weight 0 and --attention-weight 0. Raise one"),
    ],
)
def test_settings_out_of_range_raise(settings, rule):
    with pytest.raises(TeacherError, match=rule):
        Distillation(network(), network(seed=1), **settings)


def test_attention_with_a_single_position_raises():
    whole, single = network(), network(strides=16, seed=1)
    Distillation(whole, single)
    for student, teacher in [(whole, single), (single, whole)]:
        with pytest.raises(TeacherError, match="more than one position. Received.*1 x 1.*64 pixels or more"):
            Distillation(student, teacher, attention_weight=1.0)


def test_the_settings_of_a_recipe_are_used(tmp_path):
    teacher = network(seed=1)
    teacher.save(tmp_path / "model.keras")
    recipe = types.SimpleNamespace(
        teacher=str(tmp_path),
        distill_temperature=2.0,
        distill_weight=0.25,
        attention_weight=3.0,
        classes=CLASSES,
        inference_clahe=False,
        lungs_alone=False,
        lung_view=LungView(),
        segments=False,
    )
    student = network()
    model = distil(student, recipe, out=tmp_path / "run")
    assert model.student is student
    assert (model.soft_labels.temperature, model.soft_weight, model.attention_weight) == (2.0, 0.25, 3.0)
    images, _ = batch()
    np.testing.assert_array_equal(
        model.teacher.predict(images, verbose=0), teacher.predict(images, verbose=0)
    )
    with pytest.raises(TeacherError, match="cannot teach itself"):
        distil(student, recipe, out=tmp_path)


@pytest.mark.slow
def test_on_jax():
    # Not above, as TWO_DEVICES imports this file without that folder.
    from jax_process import jax_environment

    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed: pip install 'semenet[jax]'")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "any_backend", __file__],
        env=jax_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from test_distillation import batch, network
from semenet.training.distillation.distillation import Distillation
images, y = batch(8)
def losses(strategy):
    with strategy.scope():
        model = Distillation(network(normalise=False), network(seed=1), attention_weight=2.0)
        model.compile(keras.optimizers.SGD(0.05), "categorical_crossentropy", jit_compile=False)
    dataset = tf.data.Dataset.from_tensor_slices((images, y)).batch(8)
    history = model.fit(dataset, epochs=4, verbose=0).history["loss"]
    return history, model.student.get_weights()
one, two = losses(tf.distribute.get_strategy()), losses(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
np.testing.assert_allclose(two[0], one[0], rtol=1e-4)
for mine, theirs in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(theirs, mine, rtol=1e-3, atol=1e-5)
print("same")
"""


@pytest.mark.slow
def test_two_devices_train_like_one():
    """The teacher's losses are averaged over the replicas, as the labels' are."""
    folder = os.path.dirname(__file__)
    result = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.stdout.strip().endswith("same"), result.stderr


@pytest.mark.slow
def test_a_distilled_student_is_closer_to_its_teacher():
    """Classes are a bright spot above, below or none. Half of the student's labels are random."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 160)
    images = rng.integers(0, 120, (160, 64, 64, 1)).astype("uint8")
    images[kinds == 1, 4:28, 20:44] += 130
    images[kinds == 2, 36:60, 20:44] += 70
    y = np.eye(3, dtype="float32")[kinds]
    noisy = np.eye(3, dtype="float32")[np.where(rng.random(160) < 0.5, rng.integers(0, 3, 160), kinds)]
    small = {"input_shape": (64, 64, 1), "width": 0.125, "depth": 0.01, "bn_momentum": 0.5}

    def fit(model, labels):
        model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
        model.fit(images[:96], labels[:96], batch_size=16, epochs=8, verbose=0)
        return model

    teacher = fit(semenet.build("resnet50_gap", **small), y)
    known, looked = taught_by(teacher, images[96:])
    assert (known.argmax(-1) == kinds[96:]).mean() > 0.9

    def distances(**distillation):
        keras.utils.set_random_seed(1)
        student = semenet.build("moex_resnet50", **small)
        fit(Distillation(student, teacher, **distillation) if distillation else student, noisy)
        own, looks = taught_by(student, images[96:])
        divergences = (known * np.log((known + 1e-7) / (own + 1e-7))).sum(-1)
        return divergences.mean(), ((attention(looked) - attention(looks)) ** 2).sum(-1).mean()

    alone = distances()
    by_soft_labels = distances(soft_weight=0.9, temperature=2.0)
    by_attention = distances(soft_weight=0.0, attention_weight=10.0)
    assert by_soft_labels[0] < 0.5 * alone[0]
    assert by_attention[1] < 0.5 * alone[1]
