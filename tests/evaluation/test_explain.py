import types

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import semenet
from semenet.data.images import ImageError, read_image
from semenet.data.pipeline import prepare
from semenet.evaluation import explain
from semenet.evaluation.explain import grad_cam, grad_cam_function, overlay, unique_stems


def classifier(features, *, head="gap", classes=3, channels=1, size=16, activation="softmax", hidden=None):
    """A convolution of `features` channels, then a head, as the catalogue's entries end."""
    # A positive mean, so that most maps are not 0 throughout.
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


def network_of_known_answer():
    """Features: the image and its negative, each over 255; class "bright" looks at the first."""
    image = keras.Input((4, 4, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(2, 1, name="features")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", name="head")(x))
    model.get_layer("features").set_weights([np.float32([[[[1, -1]]]]), np.float32([0, 1])])
    model.get_layer("head").set_weights([np.float32([[3, 0], [0, 2]]), np.float32([0.5, -1])])
    return model


def test_known_answer():
    model = network_of_known_answer()
    image = np.zeros((1, 4, 4, 1), np.float32)
    image[0, 1, 2] = 255
    image[0, 3, 0] = 51
    bright = np.zeros((4, 4))
    bright[1, 2], bright[3, 0] = 1, 0.2
    np.testing.assert_allclose(grad_cam(model, image, 0), [bright], atol=1e-6)
    np.testing.assert_allclose(grad_cam(model, image, 1), [1 - bright], atol=1e-6)
    # A dark image: 3 * 0.075 + 0.5 against 2 * 0.925 - 1. The second wins.
    np.testing.assert_allclose(grad_cam(model, image), [1 - bright], atol=1e-6)


def test_what_speaks_against_a_class_is_cut_off():
    model = network_of_known_answer()
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
    model = network_of_known_answer()
    model.get_layer("head").set_weights([np.float32([[900, 0], [0, 2]]), np.float32([900, 0])])
    image = np.zeros((1, 4, 4, 1))
    image[0, 0, 0] = 255
    heat, outputs = grad_cam_function(model)(image)
    assert outputs[0, 0] == 1
    assert heat[0, 0, 0] == 1


def test_a_batch_gives_what_single_images_give():
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


def test_outputs_are_the_models():
    model = classifier(8)
    images = random_images()
    _, outputs = grad_cam_function(model)(images)
    np.testing.assert_allclose(outputs, model.predict(images, verbose=0), atol=1e-6)


def test_one_tracing_serves_batches_of_any_size():
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
def test_networks_of_the_catalogue(name, channels):
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
    # "features" hands on what "conv" gives.
    np.testing.assert_array_equal(grad_cam(model, images, layer="conv"), grad_cam(model, images))


def test_unusable_models_and_arguments_are_refused():
    model = classifier(4)
    images = random_images()
    with pytest.raises(ValueError, match=r"feature map.*Received: 'conv9'.*Layers with one: .*features"):
        grad_cam(model, images, layer="conv9")
    with pytest.raises(ValueError, match=r"integer in \[0, 3\).*Received: 3"):
        grad_cam(model, images, 3)
    with pytest.raises(ValueError, match="one for each of the 4 images"):
        grad_cam(model, images, [0, 1])
    with pytest.raises(ValueError, match=r"dense and named `head`.*SegmentationHead"):
        grad_cam(semenet.build("unet", input_shape=(32, 32, 1), width=0.125, depth=0.1), images)
    headless = keras.Model(model.inputs[0], model.get_layer("features").output)
    with pytest.raises(ValueError, match="none of that name"):
        grad_cam(headless, images)
    model.get_layer("head").bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match=r"must be finite.*diverged"):
        grad_cam(model, images)


def test_overlay_leaves_cold_pixels_and_colours_hot_ones():
    image = np.full((8, 8), 90, np.uint8)
    heat = np.zeros((2, 2), np.float32)
    assert (overlay(image, heat) == 90).all()
    heat[:, 1] = 1
    picture = overlay(image, heat, alpha=1)
    assert picture.shape == (8, 8, 3)
    assert picture.dtype == np.uint8
    assert (picture[:, :2] == 90).all()
    # Inferno ends in a light yellow.
    assert (picture[:, 6:] == (252, 255, 164)).all()
    half = overlay(image, heat, alpha=0.5)
    assert (half[:, 6:] == (171, 172, 127)).all()


def test_overlay_stretches_without_a_shift():
    heat = np.zeros((4, 4), np.float32)
    heat[1:3, 1:3] = 1
    stretched = explain.stretch(heat, (64, 32))
    assert stretched.shape == (64, 32)
    np.testing.assert_allclose(stretched, stretched[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(stretched, stretched[:, ::-1], atol=1e-6)


def a_run(size=(16, 16), channels=1):
    model = classifier(6, size=size[0], channels=channels)
    return types.SimpleNamespace(
        model=model,
        class_names=("normal", "bacteria", "virus"),
        input_size=size,
        channels=channels,
        inference_clahe=False,
        segments=False,
        path="run",
    )


def write_image(path, seed, shape=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_write_explanations(tmp_path, channels):
    run = a_run(channels=channels)
    first = write_image(tmp_path / "in" / "a.png", 1)
    second = write_image(tmp_path / "in" / "deeper" / "a.png", 2, (24, 50))
    written = explain.write_explanations(run, [tmp_path / "in"], tmp_path / "out", batch_size=2)
    assert written == tmp_path / "out" / "explanations.csv"
    table = pd.read_csv(written)
    assert list(table.columns) == ["file", "predicted", "probability", "heatmap", "overlay"]
    assert table["file"].tolist() == [str(first), str(second)]
    assert table["heatmap"].tolist() == ["a_heatmap.png", "a_2_heatmap.png"]
    assert table["overlay"].tolist() == ["a_overlay.png", "a_2_overlay.png"]
    for file, row in zip((first, second), table.itertuples(), strict=True):
        image = read_image(file)
        network_input = prepare(image, run.input_size, channels, False)[None]
        output = run.model.predict(network_input, verbose=0)[0]
        assert row.predicted == run.class_names[output.argmax()]
        assert row.probability == pytest.approx(output.max(), abs=1e-6)
        heat = grad_cam(run.model, network_input)[0]
        grey = cv2.imread(str(tmp_path / "out" / row.heatmap), cv2.IMREAD_UNCHANGED)
        assert grey.shape == image.shape
        np.testing.assert_allclose(grey / 255, explain.stretch(heat, image.shape), atol=0.003)
        picture = cv2.imread(str(tmp_path / "out" / row.overlay))[..., ::-1]
        assert np.abs(picture.astype(int) - overlay(image, heat)).max() <= 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "explanations.csv",
        *table["heatmap"],
        *table["overlay"],
    }


def test_write_explanations_names_a_bad_file_and_refuses_a_segmentation(tmp_path):
    run = a_run()
    good = write_image(tmp_path / "good.png", 1)
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"bad\.png"):
        explain.write_explanations(run, [good, bad], tmp_path / "out")
    run.segments = True
    with pytest.raises(ValueError, match="explains a classifier"):
        explain.write_explanations(run, [good], tmp_path / "out")


def test_unique_stems(tmp_path):
    names = ["a.png", "b/a.png", "a_2.png", "b/A.jpg", "c.png"]
    stems = unique_stems([tmp_path / name for name in names])
    assert stems == ["a", "a_2", "a_2_2", "A_3", "c"]
