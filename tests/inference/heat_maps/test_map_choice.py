"""Heat maps by any method from any layer, against NumPy, and what LayerCAM and HiResCAM promise."""

import keras
import numpy as np
import pytest

import semenet
from semenet.errors import SemenetError
from semenet.inference.heat_maps.class_activation import METHODS, grad_cam_plus_plus_function
from semenet.inference.heat_maps.graphs import FEATURE_WEIGHTS
from semenet.inference.heat_maps.map_choice import heat_map, method_function, method_name
from semenet.models.entries import CATALOG, list_models


def two_layers(head="gap", size=8):
    """Two convolutions of 1 x 1, each with a ReLU, with an average pooling of 2 x 2 between them."""
    image = keras.Input((size, size, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(3, 1, activation="relu", name="early")(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Conv2D(4, 1, activation="relu", name="late")(x)
    x = keras.layers.Identity(name="features")(x)
    if head == "gap":
        x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    else:
        x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", dtype="float32", name="head")(x))
    generator = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(generator.normal(0.15, 0.6, weight.shape))
    return model


def random_images(count=3, size=8):
    return np.random.default_rng(1).integers(256, size=(count, size, size, 1)).astype(np.uint8)


def reference_maps(model, image, index, layer, head):
    """Maps of one image by every method, in NumPy: the gradient by central differences in float64."""
    kernels = {
        name: [np.float64(w) for w in model.get_layer(name).get_weights()] for name in ("early", "late")
    }
    weights, bias = (np.float64(w) for w in model.get_layer("head").get_weights())

    def dense(x, name):
        kernel, offset = kernels[name]
        return np.maximum(x @ kernel[0, 0] + offset, 0)

    def score(features, name):
        if name == "early":
            h, w, c = features.shape
            features = dense(features.reshape(h // 2, 2, w // 2, 2, c).mean((1, 3)), "late")
        vector = features.mean((0, 1)) if head == "gap" else features.ravel()
        return (vector @ weights + bias)[index]

    features = dense(image / 255, "early")
    if layer == "late":
        h, w, c = features.shape
        features = dense(features.reshape(h // 2, 2, w // 2, 2, c).mean((1, 3)), "late")
    gradient = np.zeros_like(features)
    for place in np.ndindex(features.shape):
        high, low = features.copy(), features.copy()
        high[place] += 1e-6
        low[place] -= 1e-6
        gradient[place] = (score(high, layer) - score(low, layer)) / 2e-6
    # Differences of 1e-9 stand for 0: Grad-CAM++ divides by gradients.
    gradient[np.abs(gradient) < 1e-8] = 0
    alpha = np.where(gradient == 0, 0, 1 / (2 + gradient * features.sum((0, 1))))
    total = alpha.sum((0, 1))
    alpha = np.divide(alpha, total, out=np.zeros_like(alpha), where=total != 0)
    maps = {
        "grad-cam": (features * gradient.mean((0, 1))).sum(-1),
        "grad-cam++": (features * (alpha * np.maximum(gradient, 0)).sum((0, 1))).sum(-1),
        "layer-cam": (features * np.maximum(gradient, 0)).sum(-1),
        "hires-cam": (features * gradient).sum(-1),
    }
    maps = {name: np.maximum(found, 0) for name, found in maps.items()}
    return {name: found / (found.max() or 1) for name, found in maps.items()}


@pytest.mark.parametrize("head", ["gap", "flatten"])
@pytest.mark.parametrize("layer", ["early", "late"])
def test_every_method_agrees_with_numpy(head, layer):
    model = two_layers(head)
    images = random_images()
    expected = [reference_maps(model, image.astype(float), 1, layer, head) for image in images]
    for method in FEATURE_WEIGHTS:
        heat = heat_map(model, images, 1, method=method, layer=layer)
        reference = [found[method] for found in expected]
        assert np.any(reference), method
        np.testing.assert_allclose(heat, reference, atol=2e-4, err_msg=method)
    if (head, layer) == ("flatten", "early"):
        by_method = [expected[0][method] for method in FEATURE_WEIGHTS]
        for number, first in enumerate(by_method):
            for second in by_method[number + 1 :]:
                assert np.abs(first - second).max() > 0.003, "on this network all methods differ"


def test_layer_cam_and_hires_cam_by_hand():
    """Cells of one channel with the gradients 0.5 and -1, of another with 0.2 and 0.3; A = (1, 4), (2, 1).

    LayerCAM: 1 * 0.5 + 4 * 0.2 = 1.3, and 1 * 0.3 = 0.3. HiResCAM: 1.3, and 2 * -1 + 0.3, which is cut off.
    """
    image = keras.Input((1, 2, 2))
    features = keras.layers.Identity(name="features")(image)
    head = keras.layers.Dense(1, use_bias=False, name="head")(keras.layers.Flatten()(features))
    model = keras.Model(image, head)
    model.get_layer("head").set_weights([np.float32([[0.5], [0.2], [-1], [0.3]])])
    images = np.float32([[[[1, 4], [2, 1]]]])
    np.testing.assert_allclose(heat_map(model, images, 0, method="layer-cam"), [[[1, 0.3 / 1.3]]], atol=1e-6)
    np.testing.assert_allclose(heat_map(model, images, 0, method="hires-cam"), [[[1, 0]]], atol=1e-6)


def test_hires_cam_of_the_pooled_layer_is_cam():
    model, images = two_layers(), random_images()
    expected = heat_map(model, images, 2, method="cam")
    assert expected.any()
    np.testing.assert_allclose(heat_map(model, images, 2, method="hires-cam"), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["layer-cam", "hires-cam"])
def test_a_batch_equals_its_single_images_and_one_class_for_each_is_possible(method):
    explain = method_function(method)(two_layers("flatten"), "early")
    images = random_images(4)
    together, outputs = explain(images, np.array([0, 1, 2, 1]))
    for row, index in enumerate([0, 1, 2, 1]):
        heat, single = explain(images[row : row + 1], index)
        np.testing.assert_allclose(together[row], heat[0], atol=1e-6)
        np.testing.assert_allclose(outputs[row], single[0], atol=1e-6)


@pytest.mark.parametrize("mixed_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("method", ["layer-cam", "hires-cam"])
def test_mixed_precision_of_an_early_layer(mixed_policy, method):
    model = two_layers("flatten", size=32)
    keras.config.set_dtype_policy("float32")
    reference = two_layers("flatten", size=32)
    images = random_images(2, 32)
    heat = heat_map(model, images, 1, method=method, layer="early")
    expected = heat_map(reference, images, 1, method=method, layer="early")
    assert heat.dtype == np.float32
    assert expected.any()
    # The rounding of features near 0 switches single cells on or off.
    assert np.mean(np.abs(heat - expected) > 0.06) < 0.005


def strides_of(name):
    """The strides with a ReLU: VGG's first block has stride 1."""
    return [1, 2, 4, 8, 16, 32] if name.startswith("vgg") else [2, 4, 8, 16, 32]


CLASSIFIERS = [name for name in list_models("*") if name != "unet"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_entry_of_the_catalogue_has_finer_maps(name):
    assert len(CLASSIFIERS) == len(CATALOG) - 1
    model = semenet.build(name, input_shape=(64, 64, 1), width=0.125, depth=0.01)
    images = random_images(2, 64)
    expected = model(images, training=False)
    for method in ("layer-cam", "hires-cam"):
        heat, outputs = method_function(method)(model, 8)(images)
        assert heat.shape == (2, 8, 8)
        assert np.isfinite(heat).all()
        assert np.isin(heat.max(axis=(1, 2)), (0, 1)).all()
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert list(semenet.inference.layers_by_stride(model)) == strides_of(name)


def test_methods_by_name():
    assert list(METHODS) == ["grad-cam", "grad-cam++", "cam", "layer-cam", "hires-cam"]
    assert method_function("grad-cam++") is grad_cam_plus_plus_function
    assert method_name("layer_cam") == "layer-cam"
    with pytest.raises(
        SemenetError, match=r"one of grad-cam, .*Received: 'laercam'. Did you mean 'layer-cam'"
    ):
        method_function("laercam")
    with pytest.raises(SemenetError, match=r"Received: 'saliency'. Use 'grad-cam', which works"):
        heat_map(two_layers(), random_images(), method="saliency")
