import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from published_set import write_set

import semenet
from semenet.models.layers.moment_exchange import MoExModel
from semenet.models.weights.errors import MissingWeightsError, WeightsError

SMALL = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
# Modules in which the classes were defined when the first networks were saved.
EARLIER_MODULES = {
    "MoExModel": "semenet.models.moment_exchange",
    "MomentExchange": "semenet.models.moment_exchange",
    "ClassifierHead": "semenet.models.heads",
    "SegmentationHead": "semenet.models.heads",
    "CropToMatch": "semenet.models.unet",
}


def images(count=2):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 1)).astype("float32")


def rename_modules(config):
    """Replaces the modules of semenet in a saved config, and returns how many there were."""
    if isinstance(config, list):
        return sum(rename_modules(item) for item in config)
    if not isinstance(config, dict):
        return 0
    renamed = 0
    if config.get("class_name") == "ZooModel":
        # Earlier networks without MoEx were of Keras' own class.
        config.update(
            module="keras.src.models.functional", class_name="Functional", registered_name="Functional"
        )
    if str(config.get("module")).startswith("semenet."):
        config["module"] = EARLIER_MODULES[config["class_name"]]
        renamed = 1
    return renamed + sum(rename_modules(item) for item in config.values())


@pytest.mark.parametrize("name", ["seme_resnet50", "unet"])
def test_a_file_with_earlier_module_paths_loads(name, tmp_path):
    model = semenet.build(name, **SMALL)
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for item in new.infolist():
            content = new.read(item)
            if item.filename == "config.json":
                config = json.loads(content)
                assert rename_modules(config) > 1
                content = json.dumps(config)
            old.writestr(item, content)
    copy = semenet.load_model(tmp_path / "old.keras")
    assert type(copy) is type(model)
    assert copy.class_names == model.class_names
    np.testing.assert_array_equal(copy(images()), model(images()))


@keras.saving.register_keras_serializable("elsewhere")
class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


@keras.saving.register_keras_serializable("elsewhere")
class OwnOptimizer(keras.optimizers.SGD):
    pass


def test_a_file_compiled_with_an_unknown_loss_and_optimizer_loads(tmp_path, monkeypatch):
    model = semenet.build("seme_resnet50", classes=("a", "b"), **SMALL)
    model.compile(OwnOptimizer(0.1), OwnLoss())
    model.fit(images(4), np.eye(2)[[0, 1, 0, 1]], verbose=0)
    model.save(tmp_path / "model.keras")
    for name in ("OwnLoss", "OwnOptimizer"):
        monkeypatch.delitem(keras.saving.get_custom_objects(), f"elsewhere>{name}")
        monkeypatch.delitem(globals(), name)
    with pytest.raises(TypeError, match="Could not locate class"):
        keras.models.load_model(tmp_path / "model.keras")
    copy = semenet.load_model(str(tmp_path / "model.keras"))
    np.testing.assert_array_equal(copy.predict(images(), verbose=0), model.predict(images(), verbose=0))
    assert not copy.compiled


def test_a_loaded_moex_network_trains_after_compile(tmp_path):
    semenet.build("seme_resnet50", classes=("a", "b"), moex_p=1.0, **SMALL).save(tmp_path / "model.keras")
    copy = semenet.load_model(tmp_path)
    assert isinstance(copy, MoExModel)
    copy.compile("sgd", "categorical_crossentropy")
    before = copy.get_layer("head").get_weights()[0]
    copy.fit(images(4), np.eye(2)[[0, 1, 0, 1]], verbose=0)
    assert float(copy.get_layer("moex").mix.numpy()) == pytest.approx(0.9)
    assert (copy.get_layer("head").get_weights()[0] != before).any()


def test_a_run_folder_a_file_and_published_weights_load_from_str_and_path(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path))
    model = semenet.build("vgg19_gap", classes=("a", "b"), **SMALL)
    write_set(tmp_path, model, "vgg19_gap", "trial", architecture={"width": 0.125, "depth": 0.01})
    model.save(tmp_path / "model.keras")
    for path in (tmp_path, tmp_path / "model.keras", "vgg19_gap:trial"):
        for source in (str(path), Path(path)):
            copy = semenet.load_model(source)
            assert copy.class_names == ("a", "b")
            np.testing.assert_array_equal(copy(images()), model(images()))


def test_an_unknown_name_is_answered_with_the_names_that_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path))
    model = semenet.build("vgg19_gap", classes=("a", "b"), **SMALL)
    write_set(tmp_path, model, "vgg19_gap", "trial", architecture={"width": 0.125, "depth": 0.01})
    with pytest.raises(MissingWeightsError, match=r"Received: vgg19_gap:try\. Names of `vgg19_gap`: trial\."):
        semenet.load_model("vgg19_gap:try")
    with pytest.raises(MissingWeightsError, match="vgg19_gap, which does not exist.*one of vgg19_gap:trial"):
        semenet.load_model("vgg19_gap")
    with pytest.raises(MissingWeightsError, match="unett:lung, which does not exist.*`semenet list`"):
        semenet.load_model("unett:lung")
    with pytest.raises(FileNotFoundError, match="runs/first, which does not exist"):
        semenet.load_model("runs/first")


def test_an_unusable_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="holds model.keras.*Received.*has no model.keras"):
        semenet.load_model(tmp_path)
    with pytest.raises(WeightsError, match=r"Received: .*absent\.keras"):
        semenet.load_model(tmp_path / "absent.keras")
    path = tmp_path / "model.keras"
    semenet.build("vgg19_gap", **SMALL).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"complete zip archive.*model\.keras"):
        semenet.load_model(path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"complete zip archive.*model\.keras"):
        semenet.load_model(path)
