"""The randomisation check: its similarity measures, and maps that pass, fail or cannot be compared."""

import keras
import numpy as np
import pytest
from scipy import stats

import semenet
from semenet.evaluation.explanation.randomization import (
    layer_groups,
    plot_randomization,
    randomization_check,
    rank_correlation,
    structural_similarity,
)
from semenet.inference.heat_maps import class_activation


def trained_like(name, *, size=96, depth=0.01, seed=3):
    """Returns a small network whose batch normalisation statistics differ from their initial values."""
    keras.utils.set_random_seed(seed)
    model = semenet.build(name, input_shape=(size, size, 1), width=0.125, depth=depth)
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(generator.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, layer.moving_variance.shape))
    return model


def random_images(count=6, size=96):
    return np.random.default_rng(0).integers(256, size=(count, size, size, 1), dtype=np.uint8)


def test_rank_correlation_handles_ties_and_constant_maps():
    generator = np.random.default_rng(0)
    first = np.maximum(generator.normal(size=(5, 4, 3)), 0)
    second = np.maximum(first + generator.normal(size=(5, 4, 3)), 0)
    expected = [stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected, atol=1e-12)
    assert np.isnan(rank_correlation(np.ones((1, 2, 2)), first[:1, :2, :2])).all()


def test_ssim_is_the_mean_over_windows():
    generator = np.random.default_rng(0)
    x, y = generator.random((2, 9, 8))
    values = []
    for row in range(3):
        for column in range(2):
            a, b = (each[row : row + 7, column : column + 7] for each in (x, y))
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            values.append(
                (2 * a.mean() * b.mean() + 1e-4)
                * (2 * covariance + 9e-4)
                / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4))
            )
    assert structural_similarity(x, y) == pytest.approx(np.mean(values), abs=1e-9)
    assert structural_similarity(x, x) == pytest.approx(1)
    assert structural_similarity(x[:6], y[:6]) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg19", ["head", "conv5", "conv4", "conv3", "conv2", "conv1"]),
        ("seme_resnet50", ["head", "conv5", "conv4", "conv3", "conv2", "conv1"]),
        ("seme_densenet169", ["head", "conv5", "conv4", "conv3", "conv2", "conv1"]),
    ],
)
def test_groups_are_the_stages_and_contain_each_weight_once(name, expected):
    model = semenet.build(name, input_shape=(64, 64, 1), width=0.125, depth=0.01)
    groups = dict(layer_groups(model))
    assert list(groups) == expected
    names = [layer.name for group in groups.values() for layer in group]
    assert sorted(names) == sorted(layer.name for layer in model.layers if layer.weights)
    of_stage = {layer.name for layer in groups["conv4"]}
    if name == "seme_densenet169":
        assert {"pool4_conv", "conv4_se_reduce", "pool4_se_expand"} <= of_stage
        assert "bn" in {layer.name for layer in groups["conv5"]}
    if name == "vgg19":
        assert [layer.name for layer in groups["head"]] == ["fc1", "fc2", "head"]
        assert "block4_conv1" in of_stage


def test_groups_are_fifths_of_the_depth_if_names_have_no_stages():
    image = keras.Input((16, 16, 1))
    x = image
    for number in range(7):
        x = keras.layers.Conv2D(2, 3, padding="same", name=f"layer_{'abcdefg'[number]}")(x)
    x = keras.layers.Identity(name="features")(x)
    outputs = keras.layers.Dense(2, name="head")(keras.layers.GlobalAveragePooling2D()(x))
    groups = layer_groups(keras.Model(image, outputs))
    assert [name for name, _ in groups] == ["head", "part 5", "part 4", "part 3", "part 2", "part 1"]
    assert [len(group) for _, group in groups] == [1, 1, 1, 1, 2, 2]


def test_the_check_is_repeatable_and_does_not_change_the_model():
    model = trained_like("se_resnet50", size=64)
    images = random_images(4, 64)
    before = [weight.copy() for weight in model.get_weights()]
    expected = model.predict(images, verbose=0)
    first = randomization_check(model, images, seed=5, batch_size=3)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
    assert randomization_check(model, images, seed=5, batch_size=3) == first
    assert randomization_check(model, images, seed=6, batch_size=3)["groups"] != first["groups"]
    assert [group["group"] for group in first["groups"]][::5] == ["head", "conv1"]


def test_every_weight_is_reinitialized_cumulatively(monkeypatch):
    """After each group, groups above stay re-initialised and groups below are unchanged."""
    model = trained_like("vgg19_gap", size=32)
    seen = []

    def spy(copy, layer):
        def explain(images, index=None):
            seen.append(copy.get_weights())
            return np.random.default_rng(len(seen)).random((len(images), 2, 2)), np.zeros((len(images), 3))

        return explain

    monkeypatch.setitem(class_activation.METHODS, "spy", spy)
    model.get_layer("head").bias.assign([1, 2, 3])
    randomization_check(model, random_images(2, 32), 0, method="spy")
    names = [weight.path for weight in model.weights]
    start, *drawn = seen
    assert len(drawn) == 6
    for old, new in zip(model.get_weights(), start, strict=True):
        np.testing.assert_array_equal(old, new)
    stages = ["head", "block5", "block4", "block3", "block2", "block1"]
    for done, weights in enumerate(drawn, start=1):
        for name, old, new in zip(names, start, weights, strict=True):
            is_drawn = name.startswith(tuple(stages[:done]))
            if name.endswith("kernel"):
                assert np.array_equal(old, new) == (not is_drawn), name
    assert not drawn[-1][names.index("head/bias")].any(), "a bias starts from 0"
    limit = np.sqrt(6 / 9)
    kernel = drawn[-1][names.index("block1_conv1/kernel")]
    # He-uniform, the initializer of the layer.
    assert 0.7 * limit < np.abs(kernel).max() <= limit


def test_batch_normalisation_statistics_are_reset(monkeypatch):
    model = trained_like("resnet50_gap", size=32)
    seen = []

    def spy(copy, layer):
        def explain(images, index=None):
            seen.append(np.concatenate([copy.get_layer("conv1_bn").moving_mean.numpy()]))
            return np.random.default_rng(len(seen)).random((len(images), 2, 2)), np.zeros((len(images), 3))

        return explain

    monkeypatch.setitem(class_activation.METHODS, "spy", spy)
    randomization_check(model, random_images(2, 32), 0, method="spy")
    assert seen[0].any()
    assert seen[-2].any()
    assert not seen[-1].any()


def of_maps(monkeypatch, maps, count=8):
    """Returns the check's result for given maps: of the trained network first, then group by group."""
    calls = iter(maps)
    monkeypatch.setitem(
        class_activation.METHODS, "given", lambda copy, layer: lambda images, index=None: (next(calls), None)
    )
    model = semenet.build("vgg19_gap", input_shape=(32, 32, 1), width=0.125, depth=0.01)
    return randomization_check(model, np.zeros((count, 32, 32, 1)), 0, method="given")


def test_a_method_that_ignores_the_weights_fails(monkeypatch):
    """For example an edge detector: its maps are the same for all weights."""
    maps = np.random.default_rng(0).random((8, 7, 7), np.float32)
    result = of_maps(monkeypatch, [maps] * 7)
    assert result["passes"] is False
    for group in result["groups"]:
        assert group["correlation"] == pytest.approx(1)
        assert (group["low"], group["high"]) == pytest.approx((1, 1))
        assert group["ssim"] == pytest.approx(1)
        assert (group["count"], group["empty"]) == (8, 0)


def test_random_maps_pass_and_empty_ones_are_counted(monkeypatch):
    maps = np.random.default_rng(0).random((7, 8, 5, 5), np.float32)
    maps[0, 1] = maps[2, 3] = maps[2, 1] = 0
    result = of_maps(monkeypatch, maps)
    assert result["passes"] is True
    first, second = result["groups"][:2]
    assert (first["count"], first["empty"], second["count"], second["empty"]) == (7, 1, 6, 2)
    kept = [0, 2, 3, 4, 5, 6, 7]
    expected = [stats.spearmanr(maps[0, at].ravel(), maps[1, at].ravel()).statistic for at in kept]
    assert first["correlation"] == pytest.approx(np.mean(expected))
    assert first["low"] < first["correlation"] < first["high"]
    assert first["ssim"] is None


def test_no_verdict_without_maps_to_compare(monkeypatch):
    maps = np.random.default_rng(0).random((7, 2, 5, 5), np.float32)
    maps[-1] = 0
    result = of_maps(monkeypatch, maps, 2)
    assert result["passes"] is None
    assert result["groups"][-1] == {
        "group": "conv1",
        "correlation": None,
        "low": None,
        "high": None,
        "ssim": None,
        "count": 0,
        "empty": 2,
    }
    labels = [text.get_text() for text in plot_randomization(result).axes[0].get_xticklabels()]
    assert labels == ["trained", "head", "conv5", "conv4", "conv3", "conv2", "conv1"]


@pytest.mark.parametrize("mixed_policy", ["mixed_float16"], indirect=True)
def test_the_copy_computes_in_float32(mixed_policy, monkeypatch):
    model = semenet.build("vgg19_gap", input_shape=(32, 32, 1), width=0.125, depth=0.01)
    policies = set()

    def spy(copy, layer):
        policies.update(each.compute_dtype for each in copy.layers if each.weights)
        return lambda images, index=None: (np.ones((len(images), 2, 2)), np.zeros((len(images), 3)))

    monkeypatch.setitem(class_activation.METHODS, "spy", spy)
    randomization_check(model, random_images(2, 32), method="spy")
    assert policies == {"float32"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg19_gap", "seme_resnet50", "densenet169"])
def test_maps_of_catalogue_networks_depend_on_the_weights(name):
    """The class predicted by the original network is explained for all groups."""
    model = trained_like(name, size=256, depth=0.01)
    result = randomization_check(model, random_images(8, 256), method="grad-cam", seed=1)
    assert [group["group"] for group in result["groups"]] == ["head", *(f"conv{n}" for n in range(5, 0, -1))]
    last = result["groups"][-1]
    assert last["count"] + last["empty"] == 8
    if last["count"] > 1:
        assert last["low"] <= last["correlation"] <= last["high"]
        assert result["passes"] == (last["high"] < 0.5)
