import types

import keras
import numpy as np
import pytest
from published_set import write_set

import semenet
from semenet.data.transforms.lung_view import LungView
from semenet.models.weights.errors import WeightsError
from semenet.training.distillation.teacher import TeacherError, find_teacher, load_teacher

SMALL = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
CLASSES = ("normal", "bacteria", "virus")


def recipe(teacher, **changes):
    fields = {"classes": CLASSES, "inference_clahe": False, "lungs_alone": False, "segments": False}
    fields["lung_view"] = LungView()
    return types.SimpleNamespace(teacher=str(teacher), **fields | changes)


def saved(path, name="vgg19_gap", **changes):
    network = semenet.build(name, **SMALL | changes)
    network.save(path)
    return network


def test_a_teacher_is_a_file_or_a_run_folder(tmp_path):
    network = saved(tmp_path / "model.keras")
    for place in (tmp_path, tmp_path / "model.keras"):
        assert find_teacher(place) == tmp_path / "model.keras"
        teacher = load_teacher(recipe(place), out=tmp_path.parent / "run")
        np.testing.assert_array_equal(teacher.get_weights()[0], network.get_weights()[0])


def test_a_teacher_is_published_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path))
    network = semenet.build("vgg19_gap", **SMALL)
    cut = {"width": 0.125, "depth": 0.01}
    folder = write_set(tmp_path, network, "vgg19_gap", "trial", architecture=cut)
    assert find_teacher("vgg19_gap:trial") == folder / "a.weights.h5"
    teacher = load_teacher(recipe("vgg19_gap:trial"))
    np.testing.assert_array_equal(teacher.get_weights()[0], network.get_weights()[0])
    for absent in ("vgg19_gap:other", "vgg19_gap:imagenet"):
        with pytest.raises(TeacherError, match=f"Received: '{absent}'. Names of `vgg19_gap`: trial"):
            find_teacher(absent)


@pytest.mark.parametrize("name", ["absent", "absent.keras", "resnet5:trial", "notes.txt", "empty"])
def test_a_path_that_is_no_teacher_raises(tmp_path, name):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TeacherError, match=f"A teacher must be a run folder.*Received: .*{name}.*--teacher"):
        find_teacher(str(tmp_path / name))


def test_the_error_names_a_damaged_file(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"half")
    with pytest.raises(WeightsError, match="complete zip archive"):
        load_teacher(recipe(tmp_path))


def test_the_run_s_own_folder_as_teacher_raises(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.keras").write_bytes(b"")
    own = tmp_path / "run"
    for teacher in (own, own / "model.keras", own / ".." / "run"):
        with pytest.raises(TeacherError, match=r"cannot teach itself.*Received.*--out"):
            find_teacher(teacher, out=own)
    assert find_teacher(own, out=tmp_path / "other") == own / "model.keras"


def test_a_segmentation_network_as_teacher_or_student_raises(tmp_path):
    saved(tmp_path / "unet.keras", "unet")
    with pytest.raises(TeacherError, match=r"The teacher.*that classifies.*unet.keras.*SegmentationHead"):
        load_teacher(recipe(tmp_path / "unet.keras", classes=("lung",)))
    with pytest.raises(TeacherError, match="only for networks that classify.*Received.*Leave --teacher out"):
        load_teacher(recipe(tmp_path / "unet.keras", segments=True))


@pytest.mark.parametrize(
    "classes", [("normal", "virus", "bacteria"), ("normal", "bacteria"), (*CLASSES, "COVID-19")]
)
def test_other_classes_or_another_order_raise(tmp_path, classes):
    saved(tmp_path / "model.keras", classes=classes)
    with pytest.raises(TeacherError, match=f"same order. Received: {', '.join(classes)} of .*--classes"):
        load_teacher(recipe(tmp_path))


@pytest.mark.parametrize("clahe", [False, True])
def test_clahe_for_only_one_of_the_networks_raises(tmp_path, clahe):
    network = semenet.build("vgg19_gap", **SMALL)
    network.get_layer("head").inference_clahe = clahe
    network.save(tmp_path / "model.keras")
    assert load_teacher(recipe(tmp_path, inference_clahe=clahe)).get_layer("head").inference_clahe is clahe
    with pytest.raises(TeacherError, match=f"see the same images.*inference_clahe {clahe} of"):
        load_teacher(recipe(tmp_path, inference_clahe=not clahe))


@pytest.mark.parametrize("alone", [False, True])
def test_lungs_alone_for_only_one_of_the_networks_raises(tmp_path, alone):
    network = semenet.build("vgg19_gap", **SMALL)
    network.get_layer("head").lungs_alone = alone
    network.save(tmp_path / "model.keras")
    assert load_teacher(recipe(tmp_path, lungs_alone=alone)).get_layer("head").lungs_alone is alone
    with pytest.raises(TeacherError, match=f"see the same images.*lungs_alone {alone} of.*change --views"):
        load_teacher(recipe(tmp_path, lungs_alone=not alone))


def test_another_lung_view_raises(tmp_path):
    network = semenet.build("vgg19_gap", **SMALL)
    network.get_layer("head").lungs_box = True
    network.save(tmp_path / "model.keras")
    assert load_teacher(recipe(tmp_path, lung_view=LungView(box=True))).get_layer("head").lungs_box
    with pytest.raises(TeacherError, match="lungs' box.*margin of 4 %.*whole images.*change --lungs-box"):
        load_teacher(recipe(tmp_path))


def test_a_sigmoid_or_another_head_raises(tmp_path):
    saved(tmp_path / "sigmoid.keras", activation="sigmoid")
    with pytest.raises(TeacherError, match="with softmax or logits.*ClassifierHead with sigmoid activation"):
        load_teacher(recipe(tmp_path / "sigmoid.keras"))
    image = keras.Input((8,))
    keras.Model(image, keras.layers.Dense(3, name="head")(image)).save(tmp_path / "foreign.keras")
    with pytest.raises(TeacherError, match="network of the zoo.*a Dense with linear activation"):
        load_teacher(recipe(tmp_path / "foreign.keras"))
    keras.Model(image, keras.layers.Dense(3)(image)).save(tmp_path / "headless.keras")
    with pytest.raises(TeacherError, match="whose head is a NoneType with no activation"):
        load_teacher(recipe(tmp_path / "headless.keras"))
    saved(tmp_path / "logits.keras", activation="linear")
    assert load_teacher(recipe(tmp_path / "logits.keras")).class_names == CLASSES
