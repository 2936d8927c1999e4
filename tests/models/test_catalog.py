"""Checks of every entry, on small variants; full-size networks are built once, to count parameters."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import semenet
from semenet.models.catalog import architecture_arguments
from semenet.models.entries import CATALOG
from semenet.models.layers.moment_exchange import MoExModel

ENTRIES = list(CATALOG)
BACKBONES = {"vgg19_gap": "VGG19", "resnet50_gap": "ResNet50", "densenet169_gap": "DenseNet169"}
SMALL = {"width": 0.125, "depth": 0.01}


def small(name, side=32, channels=1, **arguments):
    return semenet.build(name, input_shape=(side, side, channels), **SMALL | arguments)


def images(model, batch=3, seed=0):
    shape = [batch, *(side or 48 for side in model.input_shape[1:])]
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def loss_gradients(model, x):
    """Computes the gradients of a loss that depends on every output, in training mode."""
    with tf.GradientTape() as tape:
        y = model(x, training=True)
        weights = np.random.default_rng(0).normal(size=y.shape).astype("float32")
        loss = tf.reduce_sum(tf.math.log(y + 1e-6) * weights)
    return dict(zip([w.path for w in model.trainable_weights],
                    tape.gradient(loss, model.trainable_weights), strict=True))  # fmt: skip


def test_the_catalogue_has_thirteen_entries():
    backbones = ["resnet50", "densenet169"]
    variants = [f"{prefix}_{backbone}" for backbone in backbones for prefix in ("se", "moex", "seme")]
    flat_and_gap = [f"{name}{head}" for name in ["vgg19", *backbones] for head in ("", "_gap")]
    assert sorted(ENTRIES) == sorted([*flat_and_gap, *variants, "unet"])
    assert semenet.list_models("seme_*") == ["seme_resnet50", "seme_densenet169"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_a_full_size_network_has_the_parameters_and_input_of_its_entry(name):
    model = semenet.build(name)
    entry = CATALOG[name]
    assert model.count_params() == entry.parameters
    assert model.input_shape == (None, entry.input_size, entry.input_size, 1)
    assert model.class_names == entry.class_names
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


@pytest.mark.parametrize("name", ENTRIES)
def test_outputs_have_the_shape_and_dtype_and_are_probabilities(name):
    model = small(name)
    x = images(model)
    outputs = [np.asarray(model(values)) for values in (x, x.astype("float32"))]
    expected = (3, 32, 32, 1) if name == "unet" else (3, 3)
    for y in outputs:
        assert y.shape == expected
        assert y.dtype == "float32"
        assert (y >= 0).all()
        assert (y <= 1).all()
    np.testing.assert_array_equal(*outputs)
    if name != "unet":
        np.testing.assert_allclose(outputs[0].sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ENTRIES)
def test_gradients_reach_every_trainable_weight(name):
    arguments = {"moex_p": 1.0} if CATALOG[name].moment_exchange else {}
    if CATALOG[name].squeeze_excite:
        arguments["se_ratio"] = 1  # at 16 a small variant's gate has one unit, which ReLU may switch off
    model = small(name, side=64, **arguments)
    # A bias before a batch normalisation does not change the training output: its gradient is rounding.
    cancelled = {
        path
        for path in (weight.path for weight in model.trainable_weights)
        if path.endswith("bias") and "_conv" in path and not name.startswith("vgg19")
    }
    for path, gradient in loss_gradients(model, images(model, batch=4)).items():
        assert gradient is not None, path
        assert np.isfinite(gradient).all(), path
        if path not in cancelled:
            assert np.abs(gradient).max() > 0, path


@pytest.mark.parametrize("name", ENTRIES)
def test_a_network_saves_and_loads_without_custom_objects(name, tmp_path):
    model = small(name, classes=("a", "b"), channels=3)
    model.save(tmp_path / "model.keras")
    x = images(model)
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.get_layer("head").class_names == ("a", "b")
    assert isinstance(copy, MoExModel) == CATALOG[name].moment_exchange


@pytest.mark.slow
def test_another_process_loads_a_saved_network(tmp_path):
    """With Keras' loader after the layers of the zoo are imported, and with semenet.load_model."""
    small("seme_resnet50", classes=("a", "b")).save(tmp_path / "classifier.keras")
    small("unet", side=50).save(tmp_path / "unet.keras")
    script = (
        "import keras, semenet.models.loading\n"
        "for load in (keras.models.load_model, semenet.load_model):\n"
        "    print([load(name).output_shape for name in ('classifier.keras', 'unet.keras')])"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[(None, 2), (None, 50, 50, 1)]"] * 2


@pytest.mark.parametrize("name", ENTRIES)
def test_inference_is_deterministic_and_changes_no_weights(name):
    model = small(name)
    x = images(model)
    before = model.get_weights()
    first, second = model(x, training=False), model(x, training=False)
    np.testing.assert_array_equal(first, second)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "mixed_policy",
    ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
    indirect=True,
)
@pytest.mark.parametrize("name", ENTRIES)
def test_outputs_are_float32_under_mixed_policies(name, mixed_policy):
    model = small(name)
    assert model.get_layer("features").compute_dtype == mixed_policy.removeprefix("mixed_")
    y = model(images(model))
    assert y.dtype == "float32"
    assert np.isfinite(y).all()


@pytest.mark.parametrize("name", [name for name in ENTRIES if CATALOG[name].head != "flatten"])
def test_a_network_takes_any_size_and_one_or_three_channels(name):
    for channels in (1, 3):
        model = semenet.build(name, input_shape=(None, None, channels), **SMALL)
        for height, width in [(32, 32), (37, 50)]:
            x = np.zeros((1, height, width, channels), "uint8")
            expected = (1, height, width, 1) if name == "unet" else (1, 3)
            assert model(x).shape == expected


@pytest.mark.parametrize("name", ["vgg19", "resnet50", "densenet169", "unet"])
def test_width_and_depth_shrink_the_network(name):
    full = CATALOG[name].parameters
    model = small(name)
    assert model.count_params() < full / 50
    assert {"features", "head"} <= {layer.name for layer in model.layers}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "application"), BACKBONES.items())
def test_backbone_equals_keras_applications(name, application):
    """Parameters, layer names and their order, and the feature map for equal weights, on three channels."""
    base = getattr(keras.applications, application)(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    model = semenet.build(name, input_shape=(224, 224, 3))
    backbone = keras.Model(model.input, model.get_layer("features").output)
    assert backbone.count_params() == base.count_params()
    assert [weight.shape for weight in backbone.weights] == [weight.shape for weight in base.weights]
    named = [layer.name for layer in base.layers if layer.weights]
    assert named == [layer.name for layer in backbone.layers if layer.weights]
    rng = np.random.default_rng(0)
    for layer in base.layers:
        if layer.weights:
            weights = layer.get_weights()
            if isinstance(layer, keras.layers.BatchNormalization):
                weights = [rng.uniform(0.5, 1.5, weight.shape) for weight in weights]
            layer.set_weights(weights)
            backbone.get_layer(layer.name).set_weights(weights)

    x = images(model, batch=2)
    expected = np.asarray(base(x / np.float32(127.5) - 1))
    received = np.asarray(backbone(x))
    assert received.shape == expected.shape
    assert np.abs(received - expected).max() < 1e-5 * np.abs(expected).max()


def test_squeeze_excite_adds_the_parameters_of_the_formula():
    parameters = {name: CATALOG[name].parameters for name in ENTRIES}
    # For a block with C output channels: 2 C C/16 + C/16 + C.
    resnet = sum(
        blocks * (2 * c * c // 16 + c // 16 + c) for c, blocks in {256: 3, 512: 4, 1024: 6, 2048: 3}.items()
    )
    densenet = sum(2 * c * c // 16 + c // 16 + c for c in (256, 128, 512, 256, 1280, 640, 1664))
    assert resnet == 2_530_992
    assert parameters["se_resnet50"] - parameters["resnet50_gap"] == resnet
    assert parameters["se_densenet169"] - parameters["densenet169_gap"] == densenet


def test_moex_adds_no_parameters():
    for backbone in ("resnet50", "densenet169"):
        assert CATALOG[f"seme_{backbone}"].parameters == CATALOG[f"se_{backbone}"].parameters
        assert CATALOG[f"moex_{backbone}"].parameters == CATALOG[f"{backbone}_gap"].parameters


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("seme_resnet50", "conv1_bn", "conv1_relu"), ("moex_densenet169", "conv1_bn", "conv1_relu")],
)
def test_moex_comes_after_the_first_convolution(name, before, after):
    def neighbours(model):
        layer = model.get_layer("moex")
        inbound = layer._inbound_nodes[0].input_tensors[0]._keras_history.operation.name
        outbound = [node.operation.name for node in layer._outbound_nodes]
        return inbound, outbound

    assert neighbours(small(name)) == (before, [after])
    inbound, _ = neighbours(small(name, moex_position="stem"))
    assert inbound in ("pool1_pool", "pool1")


def test_squeeze_excite_is_on_the_residual_branch_and_after_dense_blocks_and_transitions():
    resnet = semenet.build("se_resnet50", input_shape=(32, 32, 1), width=0.125)
    scales = [layer for layer in resnet.layers if layer.name.endswith("_se_scale")]
    assert len(scales) == 16
    assert all(layer._outbound_nodes[0].operation.name.endswith("_add") for layer in scales)
    densenet = semenet.build("se_densenet169", input_shape=(32, 32, 1), **SMALL)
    names = [layer.name for layer in densenet.layers if layer.name.endswith("_se_scale")]
    blocks = ["conv2", "pool2", "conv3", "pool3", "conv4", "pool4", "conv5"]
    assert names == [f"{block}_se_scale" for block in blocks]


@pytest.mark.parametrize("placement", ["standard", "pre", "post", "identity"])
def test_squeeze_excite_placements_have_equally_many_blocks(placement):
    model = small("se_resnet50", se_placement=placement)
    assert sum(layer.name.endswith("_se_scale") for layer in model.layers) == 4


def test_kernels_are_he_uniform():
    model = semenet.build("seme_resnet50", input_shape=(64, 64, 1), depth=0.01)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name == "kernel":
                limit = np.sqrt(6 / np.prod(weight.shape[:-1]))
                assert np.abs(weight).max() <= limit * 1.0001, layer.name
                assert np.std(weight) == pytest.approx(limit / np.sqrt(3), rel=0.2), layer.name


def test_linear_activation_outputs_logits():
    model = small("resnet50_gap")
    logits = small("resnet50_gap", activation="linear")
    logits.set_weights(model.get_weights())
    x = images(model)
    np.testing.assert_allclose(keras.ops.softmax(logits(x)), model(x), rtol=1e-4, atol=1e-6)


def test_classes_can_be_a_number():
    assert small("resnet50_gap", side=np.int64(32), classes=np.int64(2)).output_shape == (None, 2)
    assert small("resnet50_gap", classes=2).class_names == ("class_0", "class_1")
    # Not the entry's diseases, which alphabetical folders would take for others.
    assert small("resnet50_gap", classes=3).class_names == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "seme_resnet5"}, "seme_resnet50"),
        ({"name": "SEME-DenseNet169"}, "Closest: .*seme_densenet169"),
        ({"name": "xyzzy"}, "list_models"),
        ({"input_shape": (31, 64, 1)}, r"32 pixels or more.*Received: \(31, 64, 1\)"),
        ({"input_shape": (64, 64, 2)}, r"1 channel \(grey\) or 3 \(RGB\).*Received"),
        ({"input_shape": (64, 64)}, "height, width, channels.*Received"),
        ({"input_shape": ()}, "height, width, channels.*Received"),
        ({"input_shape": (64.0, 64, 1)}, "integer of 32 pixels.*Received"),
        ({"name": "resnet50", "input_shape": (None, None, 1)}, "resnet50_gap"),
        ({"classes": 0}, "positive integer.*Received: 0"),
        ({"classes": True}, "positive integer.*Received: True"),
        ({"classes": "normal"}, "Received: str 'normal'"),
        ({"classes": {"a", "b"}}, "sequence of class names.*Received: set"),
        ({"classes": ("normal", "file")}, "become columns.*Received: file"),
        ({"input_shape": 64}, "height, width, channels.*Received"),
        ({"width": "a"}, "`width`.*Received: 'a'"),
        ({"moex_p": "a"}, "`p` of MomentExchange.*Received: 'a'"),
        ({"classes": ("a", "a")}, "distinct.*Received"),
        ({"classes": ("a", "")}, "non-empty.*Received"),
        ({"classes": ()}, "one or more.*Received"),
        ({"classes": 1}, "sigmoid"),
        ({"activation": "relu"}, "softmax, sigmoid, linear. Received: 'relu'"),
        ({"width": 0}, "`width`.*Received: 0"),
        ({"depth": -1}, "`depth`.*Received: -1"),
        ({"se_placement": "middle"}, "'standard'.*Received: 'middle'"),
        ({"moex_position": "end"}, "'stem'.*Received: 'end'"),
        ({"weights": "nowhere"}, "Received: 'nowhere'. Names of `seme_resnet50`: imagenet"),
    ],
)
def test_an_invalid_argument_raises_the_rule_the_value_and_the_remedy(arguments, message):
    arguments = {"name": "seme_resnet50", "input_shape": (32, 32, 1)} | SMALL | arguments
    with pytest.raises(ValueError, match=message):
        semenet.build(**arguments)


def test_an_architecture_argument_of_another_entry_raises():
    with pytest.raises(TypeError, match="`resnet50_gap` takes.*width.*Received: se_ratio"):
        semenet.build("resnet50_gap", se_ratio=8)
    assert set(architecture_arguments("seme_resnet50")) == {
        "width", "depth", "bn_momentum", "se_ratio", "se_placement", "moex_p", "moex_lam", "moex_position",
    }  # fmt: skip
