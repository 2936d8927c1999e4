import keras
import numpy as np
import pytest
from published_set import read_metadata, write_metadata, write_set

import semenet
from semenet.models.weights.compact import halve_kernels, write_compact
from semenet.models.weights.errors import MetadataError, WeightsError
from semenet.models.weights.sources import ImageNet
from semenet.storage.hashing import file_sha256
from semenet.training.run_folder.run import Run

SMALL = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}


@pytest.mark.slow
def test_imagenet_copies_the_backbone_and_scales_as_keras_applications(monkeypatch):
    """For grey and RGB images, compared with keras.applications and its preprocess_input."""
    for name, application, module in [
        ("vgg19_gap", "VGG19", keras.applications.vgg19),
        ("se_resnet50", "ResNet50", keras.applications.resnet50),
        ("densenet169_gap", "DenseNet169", keras.applications.densenet),
    ]:
        base = getattr(keras.applications, application)(include_top=False, weights=None)

        def pretrained(*, include_top, weights, input_shape, base=base):
            assert (include_top, weights, input_shape[-1]) == (False, "imagenet", 3)
            return base

        monkeypatch.setattr(keras.applications, application, pretrained)
        x = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("float32")
        for channels in (3, 1):
            model = semenet.build(name, weights="imagenet", input_shape=(64, 64, channels))
            for layer in model.layers:
                if layer.name.endswith("_se_expand"):  # a gate of one lets the backbone through
                    layer.set_weights([0 * layer.get_weights()[0], 0 * layer.get_weights()[1] + 50])
            features = keras.Model(model.input, model.get_layer("features").output)
            image = x[..., :channels]
            rgb = image if channels == 3 else np.repeat(image, 3, -1)
            expected = np.asarray(base(module.preprocess_input(rgb.copy())))
            error = np.abs(np.asarray(features(image)) - expected).max()
            assert error < 1e-4 * np.abs(expected).max(), (name, channels)


def test_imagenet_has_no_unet():
    with pytest.raises(ValueError, match="keras.applications publishes.*Received: 'unet'"):
        semenet.build("unet", weights="imagenet")


def test_a_saved_model_defines_classes_and_input_size(tmp_path):
    model = semenet.build("seme_resnet50", classes=("a", "b"), **SMALL)
    model.save(tmp_path / "model.keras")
    for source in (tmp_path, tmp_path / "model.keras"):
        copy = semenet.build("seme_resnet50", weights=source, width=0.125, depth=0.01)
        assert copy.class_names == ("a", "b")
        assert copy.input_shape == (None, 32, 32, 1)
        for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_other_classes_keep_a_random_head_and_warn(tmp_path):
    model = semenet.build("resnet50_gap", **SMALL)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="head starts with random weights"):
        tuned = semenet.build("resnet50_gap", classes=2, weights=tmp_path / "model.keras", **SMALL)
    np.testing.assert_array_equal(
        tuned.get_layer("conv1_conv").get_weights()[0], model.get_layer("conv1_conv").get_weights()[0]
    )
    assert tuned.output_shape == (None, 2)


@pytest.mark.parametrize(
    ("built", "message"),
    [
        ({"name": "se_resnet50"}, "same layers.*not in both"),
        ({"depth": 0.34}, "same layers.*not in both"),
        ({"width": 0.25}, "shapes of the layer"),
        ({"input_shape": (32, 32, 3)}, "shapes of the layer.*conv1_conv"),
    ],
)
def test_weights_of_another_network_raise(tmp_path, built, message):
    semenet.build("resnet50_gap", **SMALL).save(tmp_path / "model.keras")
    arguments = {"name": "resnet50_gap"} | SMALL | built
    with pytest.raises(WeightsError, match=message):
        semenet.build(weights=tmp_path / "model.keras", **arguments)


@pytest.mark.parametrize(
    ("source", "target"), [("se_resnet50", "resnet50_gap"), ("resnet50_gap", "vgg19_gap")]
)
def test_weights_with_additional_layers_raise(tmp_path, source, target):
    semenet.build(source, **SMALL).save(tmp_path / "model.keras")
    with pytest.raises(WeightsError, match="same layers.*not in both"):
        semenet.build(target, weights=tmp_path / "model.keras", **SMALL)


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_weights_keep_their_input_scaling(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(ImageNet, "load_into", lambda self, model: None)
    arguments = SMALL | {"input_shape": (32, 32, channels)}
    model = semenet.build("resnet50_gap", weights="imagenet", **arguments)
    model.save(tmp_path / "model.keras")
    copy = semenet.build("resnet50_gap", weights=tmp_path / "model.keras", **arguments)
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, channels))
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5)


def test_weights_of_a_network_outside_the_zoo_raise(tmp_path):
    x = keras.Input((32, 32, 1))
    keras.Model(x, keras.layers.Flatten()(x)).save(tmp_path / "other.keras")
    with pytest.raises(WeightsError, match="network of the zoo.*other.keras"):
        semenet.build("vgg19_gap", weights=tmp_path / "other.keras", **SMALL)


def test_weights_h5(tmp_path):
    model = semenet.build("vgg19_gap", **SMALL)
    path = tmp_path / "a.weights.h5"
    model.save_weights(path)
    copy = semenet.build("vgg19_gap", weights=path, **SMALL)
    for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(WeightsError, match=r"very network that wrote it.*a\.weights\.h5"):
        semenet.build("vgg19_gap", classes=5, weights=path, **SMALL)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"complete HDF5.*a\.weights\.h5|very network.*a\.weights\.h5"):
        semenet.build("vgg19_gap", weights=path, **SMALL)


CUT = {"width": 0.125, "depth": 0.01}


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """A published vgg19_gap that needs CLAHE and lungs alone, and its folder."""
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path))
    model = semenet.build("vgg19_gap", classes=("a", "b"), **SMALL)
    metadata = {"architecture": CUT, "inference_clahe": True, "lungs_alone": True}
    return model, write_set(tmp_path, model, "vgg19_gap", "trial", **metadata)


def test_published_weights_define_classes_size_architecture_and_preprocessing(trial):
    model, _ = trial
    assert semenet.build("vgg19_gap", classes=2, weights="trial").class_names == ("a", "b")
    copy = semenet.build("vgg19_gap", weights="trial")
    assert copy.class_names == ("a", "b")
    assert copy.input_shape == (None, 32, 32, 1)
    assert copy.get_layer("head").inference_clahe
    assert copy.get_layer("head").lungs_alone
    for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_published_weights_define_the_activation_and_open_as_a_run(trial, tmp_path):
    sigmoid = semenet.build("vgg19_gap", classes=("a", "b"), activation="sigmoid", **SMALL)
    write_set(tmp_path, sigmoid, "vgg19_gap", "apart", architecture=CUT)
    assert semenet.build("vgg19_gap", weights="apart").get_layer("head").activation.__name__ == "sigmoid"
    # The metadata of this set have neither training nor calibration.
    run = Run.open("vgg19_gap:apart")
    assert (run.activation, run.temperature, run.name) == ("sigmoid", 1.0, "vgg19_gap:apart")
    with pytest.raises(WeightsError, match="Names of `vgg19_gap`: apart, trial"):
        Run.open("vgg19_gap:absent")


def test_published_weights_keep_a_random_head_for_other_classes(trial):
    model, _ = trial
    with pytest.warns(UserWarning, match="head starts with random weights"):
        tuned = semenet.build("vgg19_gap", weights="trial", classes=("a", "b", "c"))
    assert tuned.output_shape == (None, 3)
    np.testing.assert_array_equal(tuned.get_weights()[0], model.get_weights()[0])
    with pytest.raises(WeightsError, match="very network that wrote it"):
        semenet.build("vgg19_gap", weights="trial", width=0.25)


def test_published_weights_are_verified_before_they_are_read(trial):
    _, folder = trial
    file = folder / "a.weights.h5"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match="must have the hash.*a.weights.h5"):
        semenet.build("vgg19_gap", weights="trial")
    file.unlink()
    with pytest.raises(WeightsError, match="without a.weights.h5"):
        semenet.build("vgg19_gap", weights="trial")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "../a.weights.h5"}, r"plain files.*metadata.json.*\.\./a"),
        ({"weights": "b.weights.h5"}, "plain files.*b.weights.h5"),
        ({"files": {}}, "plain files"),
        ({"network": {}}, "class_names"),
        ({"network": None}, "metadata.json"),
    ],
)
def test_unusable_metadata_raise_with_their_path(trial, change, message):
    _, folder = trial
    write_metadata(folder, read_metadata(folder) | change)
    with pytest.raises(MetadataError, match=message):
        semenet.build("vgg19_gap", weights="trial")
    (folder / "metadata.json").write_text("{")
    with pytest.raises(MetadataError, match="must be JSON.*metadata.json"):
        semenet.build("vgg19_gap", weights="trial")


def test_sharded_weights_in_half_precision_are_loaded(tmp_path, trial):
    model, folder = trial
    halve_kernels(model)
    written = write_compact(model, folder, mebibytes=0.1)
    assert len(written) == 3
    (folder / "a.weights.h5").unlink()
    files = {file.name: {"sha256": file_sha256(file), "bytes": file.stat().st_size} for file in written}
    write_metadata(folder, read_metadata(folder) | {"weights": written[0].name, "files": files})
    copy = semenet.build("vgg19_gap", weights="trial")
    for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
