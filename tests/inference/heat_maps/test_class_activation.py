"""Class activation maps against values worked out by hand, other implementations and each other."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import semenet
from semenet.errors import SemenetError
from semenet.inference.heat_maps.class_activation import (
    METHODS,
    cam_function,
    grad_cam,
    grad_cam_function,
    grad_cam_plus_plus_function,
)


def classifier(features, *, head="gap", classes=3, channels=1, size=16, activation="softmax", hidden=None):
    """A convolution with `features` channels, then a head like those of the catalogue."""
    # With a positive mean, most maps are not 0 everywhere.
    kernel = keras.initializers.RandomNormal(0.2, 0.5)
    image = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(features, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    x = keras.layers.Identity(name="features")(x)
    if head == "gap":
        x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    else:
        x = keras.layers.Flatten()(x)
        if hidden:
            x = keras.layers.Dense(hidden, activation="softplus", kernel_initializer=kernel)(x)
    outputs = keras.layers.Dense(
        classes, activation=activation, kernel_initializer=kernel, dtype="float32", name="head"
    )(x)
    return keras.Model(image, outputs)


def random_images(count=4, size=16, channels=1, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(256, size=(count, size, size, channels), dtype=np.uint8)


def network_with_known_maps():
    """Features: the image and its negative, each over 255; class "bright" depends on the first."""
    image = keras.Input((4, 4, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(2, 1, name="features")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="head")(x))
    model.get_layer("features").set_weights([np.float32([[[[1, -1]]]]), np.float32([0, 1])])
    model.get_layer("head").set_weights([np.float32([[3, 0], [0, 2]]), np.float32([0.5, -1])])
    return model


def test_known_answer():
    model = network_with_known_maps()
    image = np.zeros((1, 4, 4, 1), np.float32)
    image[0, 1, 2] = 255
    image[0, 3, 0] = 51
    bright = np.zeros((4, 4))
    bright[1, 2], bright[3, 0] = 1, 0.2
    np.testing.assert_allclose(grad_cam(model, image, 0), [bright], atol=1e-6)
    np.testing.assert_allclose(grad_cam(model, image, 1), [1 - bright], atol=1e-6)
    # A dark image: 3 * 0.075 + 0.5 against 2 * 0.925 - 1. The second wins.
    np.testing.assert_allclose(grad_cam(model, image), [1 - bright], atol=1e-6)


def test_negative_evidence_is_cut_off():
    model = network_with_known_maps()
    model.get_layer("head").set_weights([np.float32([[-3, 0], [0, 2]]), np.zeros(2, np.float32)])
    heat = grad_cam(model, random_images(size=4), 0)
    assert heat.shape == (4, 4, 4)
    assert not heat.any()


def test_gap_head_gives_the_class_activation_map():
    model = classifier(8)
    images = random_images()
    features = keras.Model(model.inputs[0], model.get_layer("features").output)(images).numpy()
    kernel = model.get_layer("head").kernel.numpy()
    for index in range(3):
        cam = np.maximum(features @ kernel[:, index], 0)
        cam /= cam.max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(grad_cam(model, images, index), cam, atol=1e-5)


def test_flatten_head_against_finite_differences():
    model = classifier(3, head="flatten", hidden=10)
    image = random_images(1)
    feature_layer = model.get_layer("features")
    features = keras.Model(model.inputs[0], feature_layer.output)(image).numpy()
    tail = keras.Model(feature_layer.output, model.get_layer("head").input)
    head = model.get_layer("head")
    step = 1e-2
    weights = np.zeros(3)
    for channel in range(3):
        moved = features.copy()
        # A step of all positions at once gives the sum of the channel's gradients.
        moved[..., channel] += step
        low = features.copy()
        low[..., channel] -= step
        weights[channel] = (
            ((tail(moved) - tail(low)) @ head.kernel)[0, 1] / (2 * step) / features[0, ..., 0].size
        )
    expected = np.maximum((features[0] * weights).sum(-1), 0)
    np.testing.assert_allclose(grad_cam(model, image, 1)[0], expected / expected.max(), atol=2e-3)


@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_agrees_with_tf_keras_vis(head):
    from tf_keras_vis.gradcam import Gradcam

    model = classifier(6, head=head, activation="linear")
    images = random_images().astype(np.float32)
    reference = Gradcam(model, clone=False)(
        lambda outputs: outputs[:, 2],
        images,
        penultimate_layer="features",
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    reference = np.asarray(reference)
    assert (reference.max(axis=(1, 2)) > 0).any()
    highest = np.maximum(reference.max(axis=(1, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(grad_cam(model, images, 2), reference / highest, atol=1e-5)


def test_softmax_and_sigmoid_do_not_change_the_map():
    images = random_images()
    linear = classifier(6, activation="linear")
    for activation in ("softmax", "sigmoid"):
        other = classifier(6, activation=activation)
        other.set_weights(linear.get_weights())
        np.testing.assert_allclose(grad_cam(other, images, 1), grad_cam(linear, images, 1), atol=1e-6)


def test_saturated_probability_still_has_a_map():
    model = network_with_known_maps()
    model.get_layer("head").set_weights([np.float32([[900, 0], [0, 2]]), np.float32([900, 0])])
    image = np.zeros((1, 4, 4, 1))
    image[0, 0, 0] = 255
    heat, outputs = grad_cam_function(model)(image)
    assert outputs[0, 0] == 1
    assert heat[0, 0, 0] == 1


def test_a_batch_equals_its_single_images():
    model = classifier(8)
    images = random_images(5)
    together = grad_cam(model, images)
    single = np.concatenate([grad_cam(model, image[None]) for image in images])
    np.testing.assert_allclose(together, single, atol=1e-6)


def test_a_class_for_each_image():
    model = classifier(8)
    images = random_images(3)
    mixed = grad_cam(model, images, np.array([2, 0, 1]))
    for row, index in enumerate([2, 0, 1]):
        np.testing.assert_allclose(mixed[row], grad_cam(model, images, index)[row], atol=1e-6)


def test_the_outputs_equal_those_of_the_model():
    model = classifier(8)
    images = random_images()
    _, outputs = grad_cam_function(model)(images)
    np.testing.assert_allclose(outputs, model.predict(images, verbose=0), atol=1e-6)


def test_one_trace_serves_batches_of_any_size():
    model = classifier(4)
    traced = []

    class Spy(keras.layers.Layer):
        def call(self, inputs):
            traced.append(1)
            return inputs

    spied = keras.Model(model.inputs[0], Spy(name="spy")(model.get_layer("features").output))
    head = keras.layers.Dense(2, name="head")(keras.layers.GlobalAveragePooling2D()(spied.output))
    run = grad_cam_function(keras.Model(spied.inputs, head), layer="spy")
    traced.clear()
    for count in (4, 4, 3, 1):
        run(random_images(count))
    assert len(traced) == 1


@pytest.mark.parametrize("mixed_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_mixed_precision(mixed_policy, head):
    model = classifier(8, head=head)
    assert model.get_layer("features").compute_dtype == mixed_policy.removeprefix("mixed_")
    keras.config.set_dtype_policy("float32")
    reference = classifier(8, head=head)
    reference.set_weights(model.get_weights())
    images = random_images()
    heat = grad_cam(model, images, 1)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, grad_cam(reference, images, 1), atol=0.05)


@pytest.mark.parametrize("mixed_policy", ["mixed_float16"], indirect=True)
def test_small_gradients_do_not_vanish_in_float16(mixed_policy):
    # Over 128 x 128 positions a mean's gradient of 1e-4 / 16384 lies below float16's least value.
    model = classifier(4, size=256)
    head = model.get_layer("head")
    head.kernel.assign(tf.fill(head.kernel.shape, 1e-4))
    assert grad_cam(model, random_images(1, size=256), 0).max() == 1


@pytest.mark.parametrize(("name", "channels"), [("seme_resnet50", 1), ("vgg19", 3)])
def test_catalogue_entries(name, channels):
    model = semenet.build(name, input_shape=(64, 64, channels), width=0.125, depth=0.1)
    heat = grad_cam(model, random_images(2, 64, channels))
    assert heat.shape == (2, *model.get_layer("features").output.shape[1:3])
    assert heat.min() >= 0
    assert np.isin(heat.max(axis=(1, 2)), (0, 1)).all()


def test_dynamic_size():
    model = semenet.build("resnet50_gap", input_shape=(None, None, 1), width=0.125, depth=0.1)
    run = grad_cam_function(model)
    assert run(random_images(1, 64))[0].shape == (1, 2, 2)
    assert run(random_images(1, 96))[0].shape == (1, 3, 3)


def test_frozen_network():
    model = classifier(8)
    expected = grad_cam(model, random_images(), 0)
    model.trainable = False
    np.testing.assert_allclose(grad_cam(model, random_images(), 0), expected, atol=1e-6)


def test_another_layer():
    model = classifier(8)
    images = random_images()
    # "features" is an identity layer after "conv".
    np.testing.assert_array_equal(grad_cam(model, images, layer="conv"), grad_cam(model, images))


def test_unusable_models_and_arguments_are_rejected():
    model = classifier(4)
    images = random_images()
    with pytest.raises(
        ValueError, match=r"feature map.*Received: 'conv9'.*Did you mean conv\? .*by stride: 2 \(features\)"
    ):
        grad_cam(model, images, layer="conv9")
    with pytest.raises(ValueError, match=r"integer in \[0, 3\).*Received: 3"):
        grad_cam(model, images, 3)
    with pytest.raises(ValueError, match="one for each of the 4 images"):
        grad_cam(model, images, [0, 1])
    with pytest.raises(SemenetError, match=r"shape \(None, 16, 16, 1\).*Received: shape \(4, 16, 16\)"):
        grad_cam(model, images[..., 0])
    with pytest.raises(ValueError, match=r"dense and named `head`.*SegmentationHead"):
        grad_cam(semenet.build("unet", input_shape=(32, 32, 1), width=0.125, depth=0.1), images)
    headless = keras.Model(model.inputs[0], model.get_layer("features").output)
    with pytest.raises(ValueError, match="no layer of that name"):
        grad_cam(headless, images)
    model.get_layer("head").bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match=r"must be finite.*diverged"):
        grad_cam(model, images)


def unit_maps(maps):
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)


def test_grad_cam_plus_plus_by_hand():
    """A flatten head: every cell has its own gradient.

    Channel 1: A = (1, 2), g = (0.5, -1): alpha = 1 / (2 + 3 g) = 1 / 3.5 and 1 / -1, over their sum -5/7:
    -0.4 and 1.4; the weight is -0.4 * 0.5 = -0.2. Channel 2: A = (4, 1), g = (0.2, 0): alpha of the second
    is 0, so the first's is 1, and the weight 0.2. The map: (-0.2 + 0.8, -0.4 + 0.2) = (0.6, -0.2), whose
    negative part is cut off.
    """
    image = keras.Input((1, 2, 2))
    features = keras.layers.Identity(name="features")(image)
    head = keras.layers.Dense(1, use_bias=False, name="head")(keras.layers.Flatten()(features))
    model = keras.Model(image, head)
    model.get_layer("head").set_weights([np.float32([[0.5], [0.2], [-1], [0]])])
    heat, outputs = grad_cam_plus_plus_function(model)(np.float32([[[[1, 4], [2, 1]]]]), 0)
    np.testing.assert_allclose(outputs, [[0.5 + 0.8 - 2]], atol=1e-6)
    np.testing.assert_allclose(heat, [[[1, 0]]], atol=1e-6)


@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_grad_cam_plus_plus_agrees_with_tf_keras_vis(head):
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus

    model = classifier(6, head=head, activation="linear", hidden=5)
    images = random_images().astype(np.float32)
    reference = GradcamPlusPlus(model, clone=False)(
        lambda outputs: outputs[:, 2],
        images,
        penultimate_layer="features",
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    reference = np.asarray(reference)
    assert (reference.max(axis=(1, 2)) > 0).all()
    heat, outputs = grad_cam_plus_plus_function(model)(images, 2)
    np.testing.assert_allclose(heat, unit_maps(reference), atol=1e-4)
    np.testing.assert_allclose(outputs, model.predict(images, verbose=0), atol=1e-5)
    assert np.abs(heat - grad_cam(model, images, 2)).max() > 0.05, (
        "the two methods must differ on this network"
    )


def test_grad_cam_plus_plus_stays_finite_for_a_saturated_score():
    """exp(score) itself would overflow at scores of 89 and more."""
    model = network_with_known_maps()
    model.get_layer("head").set_weights([np.float32([[900, 0], [0, 2]]), np.float32([900, 0])])
    image = np.zeros((1, 4, 4, 1))
    image[0, 0, 0] = 255
    heat, _ = grad_cam_plus_plus_function(model)(image)
    assert heat[0, 0, 0] == 1


def test_cam_equals_grad_cam():
    model = classifier(8)
    images = random_images(5)
    for chosen in (None, 1, np.array([2, 0, 1, 1, 0])):
        expected, outputs = grad_cam_function(model)(images, chosen)
        heat, same = cam_function(model)(images, chosen)
        assert expected.any()
        np.testing.assert_allclose(heat, expected, atol=1e-5)
        np.testing.assert_allclose(same, outputs, atol=1e-6)


def test_cam_of_all_classes():
    model = classifier(8)
    images = random_images(3)
    maps, outputs = cam_function(model, all_classes=True)(images)
    assert maps.shape == (3, 8, 8, 3)
    for index in range(3):
        np.testing.assert_allclose(maps[..., index], grad_cam(model, images, index), atol=1e-5)
    np.testing.assert_allclose(outputs, model.predict(images, verbose=0), atol=1e-6)


def test_cam_needs_the_pooled_layer_and_a_dense_head_after_it():
    images = random_images(2)
    model = classifier(4)
    with pytest.raises(ValueError, match=r"follows global average pooling.*method='grad-cam'"):
        cam_function(classifier(4, head="flatten"))
    with pytest.raises(ValueError, match=r"Received: layer='rescaling\w*'.*which pools features or conv"):
        cam_function(model, model.layers[1].name)
    # An identity layer has the same map.
    np.testing.assert_array_equal(cam_function(model, "conv")(images)[0], cam_function(model)(images)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mixed_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_every_method_in_mixed_precision(mixed_policy, method):
    model = classifier(8)
    keras.config.set_dtype_policy("float32")
    reference = classifier(8)
    reference.set_weights(model.get_weights())
    images = random_images()
    heat, outputs = METHODS[method](model)(images, 1)
    expected, expected_outputs = METHODS[method](reference)(images, 1)
    assert heat.dtype == outputs.dtype == np.float32
    assert expected.any()
    np.testing.assert_allclose(heat, expected, atol=0.05)
    np.testing.assert_allclose(outputs, expected_outputs, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mixed_policy", ["mixed_float16"], indirect=True)
def test_small_gradients_do_not_vanish_with_any_method(mixed_policy, method):
    model = classifier(4, size=256)
    head = model.get_layer("head")
    head.kernel.assign(tf.fill(head.kernel.shape, 1e-4))
    assert METHODS[method](model)(random_images(1, size=256), 0)[0].max() == 1


@pytest.mark.parametrize("method", METHODS)
def test_with_every_method_a_batch_equals_its_single_images(method):
    explain = METHODS[method](classifier(8))
    images = random_images(5)
    together, _ = explain(images)
    single = np.concatenate([explain(image[None])[0] for image in images])
    np.testing.assert_allclose(together, single, atol=1e-6)
