import keras
import numpy as np
import pytest

import semenet
from semenet.errors import SemenetError
from semenet.models.layers.heads import ClassifierHead
from semenet.models.layers.zoo_model import ZooModel

CLASSES = ("sick", "healthy")


@pytest.fixture(scope="module", params=["resnet50_gap", "moex_resnet50"])
def model(request):
    return semenet.build(request.param, classes=CLASSES, input_shape=(None, None, 1), width=0.125, depth=0.01)


def test_copies_keep_the_class_names(model, tmp_path):
    model.save(tmp_path / "model.keras")
    copies = [
        keras.models.clone_model(model),
        type(model).from_config(model.get_config()),
        semenet.load_model(tmp_path / "model.keras"),
        keras.models.load_model(tmp_path / "model.keras"),
    ]
    assert [copy.class_names for copy in copies] == [CLASSES] * 4
    assert {type(copy) for copy in copies} == {type(model)}


def test_a_plain_model_of_an_earlier_version_keeps_them_too(tmp_path):
    image = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(image)
    plain = keras.Model(image, ClassifierHead(CLASSES, activation="softmax", name="head")(x))
    plain.save(tmp_path / "plain.keras")
    loaded = semenet.load_model(tmp_path / "plain.keras")
    assert keras.models.clone_model(loaded).class_names == CLASSES
    np.testing.assert_array_equal(loaded(np.ones((2, 8, 8, 1))), plain(np.ones((2, 8, 8, 1))))


def test_a_model_without_the_head_has_no_class_names():
    image = keras.Input((8, 8, 1))
    assert not hasattr(ZooModel(image, keras.layers.Flatten()(image)), "class_names")


def test_a_single_image_is_not_taken_for_many(model):
    image = np.zeros((64, 64, 1), np.float32)
    for call in (lambda: model(image), lambda: model.predict(image, verbose=0)):
        with pytest.raises(SemenetError, match=r"batch axis .*image\[None\]"):
            call()
    assert model(image[None]).shape == (1, 2)
