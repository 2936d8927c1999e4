import errno
import json
import shutil

import cv2
import keras
import numpy as np
import pytest
from hand_made_networks import brightness_network, calibrate_by_hand, threshold_unet
from published_set import write_set

import semenet
from semenet.cli.main import main
from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import read_manifest
from semenet.data.phantom.frontal import draw_radiograph
from semenet.data.pipeline.datasets import prepare_image
from semenet.errors import SemenetError
from semenet.inference.heat_maps.class_activation import grad_cam
from semenet.inference.lung_masks import LungMasks, keep_only_lungs
from semenet.models.weights.errors import WeightsError
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.saved_cascade import CascadeError, is_cascade
from semenet.serving.prediction.network_predictions import predict_arrays
from semenet.storage.atomic import OutputError
from semenet.training.recipe import find_recipe
from semenet.training.run_folder.record import RunFolderError
from semenet.training.run_folder.run import Run

STAGE2 = ("other_viral", "COVID-19")
SMALL = {"width": 0.125, "depth": 0.01}


def softmax(logits):
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()


@pytest.fixture
def by_hand(tmp_path):
    """A cascade whose steps can be computed by hand: thresholds and mean grey levels."""
    return Cascade(
        brightness_network(tmp_path / "one.keras", ("normal", "bacteria", "virus"), [0.0, 0.01, 0.02]),
        threshold_unet(tmp_path / "unet.keras"),
        brightness_network(tmp_path / "two.keras", STAGE2, [0.0, 0.05], size=(32, 56), alone=True),
        gated=False,
    )


def chest():
    """A bright image with two darker rectangles, which the segmentation network takes for lungs."""
    image = np.full((96, 128), 200, "uint8")
    image[24:72, 20:52] = 40
    image[24:72, 76:108] = 60
    return image


def test_every_step_by_hand(by_hand):
    image = chest()
    found = by_hand.predict(image)
    assert found.class_names == by_hand.class_names == ("normal", "bacteria", *STAGE2)
    mean = prepare_image(image, (48, 40)).mean()
    first = softmax(np.array([0.0, 0.01, 0.02]) * mean)
    np.testing.assert_allclose(found.stage1_probabilities[0], first, rtol=1e-5)
    small = prepare_image(image, (32, 56))[..., 0].astype(float)
    mask = np.zeros((32, 56), bool)
    mask[8:24, 9:23] = mask[8:24, 33:47] = True
    # Within one pixel of the edges, where resizing has mixed lung and body.
    square = np.ones((3, 3))
    edge = cv2.dilate(mask.astype("uint8"), square) != cv2.erode(mask.astype("uint8"), square)
    alone = np.where(mask, small, 0)
    second = softmax(np.array([0.0, 0.05]) * alone.mean())
    assert abs(found.stage2_probabilities[0, 1] - second[1]) < 0.25 * 0.05 * 80 * edge.mean()
    joint = [first[0], first[1], *(first[2] * found.stage2_probabilities[0])]
    np.testing.assert_allclose(found.probabilities[0], joint, rtol=1e-5)
    assert found.predicted == [by_hand.class_names[int(np.argmax(joint))]]
    assert found.lung_flags == [()]
    assert found.lung_masks.shape == (1, 64, 64)
    assert found.lung_masks[0, 20:44, 12:24].all()
    assert not found.lung_masks[0, :, 28:36].any()


def test_without_plausible_lungs_stage_2_gets_the_whole_image(by_hand):
    image = np.full((96, 128), 150, "uint8")
    found = by_hand.predict([image, chest()])
    assert found.lung_flags == [("area", "count", "position"), ()]
    np.testing.assert_allclose(found.stage2_probabilities[0], softmax(np.array([0.0, 0.05 * 150])), rtol=1e-5)
    assert found.stage2_probabilities[1, 1] < found.stage2_probabilities[0, 1]


def test_real_networks_give_the_same_results_as_alone(classifier_run, unet_run, phantoms, tmp_path):
    stage2 = semenet.build("seme_densenet169", classes=STAGE2, input_shape=(40, 40, 1), **SMALL)
    stage2.get_layer("head").lungs_alone = True
    stage2.save(tmp_path / "two.keras")
    cascade = Cascade(classifier_run, unet_run, tmp_path / "two.keras", gated=False)
    images = [read_image(path) for path in read_manifest(phantoms).split("val")["path"]]
    found = cascade.predict(images, explain=True, batch_size=4)
    np.testing.assert_allclose(found.stage1_probabilities, predict_arrays(classifier_run, images), atol=1e-6)
    run = Run.open(tmp_path / "two.keras")
    masks = LungMasks.open(unet_run).segment(images, (40, 40))
    usable = np.array([not flags for flags in found.lung_flags])
    prepared = np.stack([prepare_image(image, (40, 40)) for image in images])
    fed = np.where(usable[:, None, None, None], keep_only_lungs(prepared, masks), prepared)
    np.testing.assert_allclose(found.stage2_probabilities, run.model(fed), atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    whole = np.stack([prepare_image(image, (32, 32)) for image in images])
    expected = grad_cam(Run.open(classifier_run).model, whole)
    np.testing.assert_allclose(found.stage1_heat_maps, expected, atol=1e-4)
    np.testing.assert_allclose(found.stage2_heat_maps, grad_cam(run.model, fed), atol=1e-4)


def test_every_kind_of_entry_can_take_each_place(unet_run, tmp_path):
    """Flattened heads, three channels, another divided class, and lungs alone in stage 1 too."""
    first = semenet.build("vgg19", input_shape=(32, 32, 3), classes=("sick", "well"), **SMALL)
    first.get_layer("head").lungs_alone = True
    first.save(tmp_path / "one.keras")
    second = semenet.build("resnet50", input_shape=(36, 32, 1), classes=("a", "b", "c"), **SMALL)
    second.save(tmp_path / "two.keras")
    cascade = Cascade(tmp_path / "one.keras", unet_run, tmp_path / "two.keras", refines="sick")
    assert cascade.class_names == ("well", "a", "b", "c")
    images = [draw_radiograph("virus", size=96, seed=seed).image for seed in range(2)]
    found = cascade.predict(images, explain=True)
    assert found.probabilities.shape == (2, 4)
    assert found.stage1_heat_maps.shape[0] == found.stage2_heat_maps.shape[0] == 2
    assert 0 <= found.stage2_heat_maps.min() <= found.stage2_heat_maps.max() <= 1


def test_a_calibrated_stage_abstains_below_its_confidence(by_hand, tmp_path):
    file = tmp_path / "one.keras"
    calibrate_by_hand(file, 2.0, {"target_accuracy": 0.95, "confidence": 0.99})
    calibrated = Cascade(file, by_hand.lungs, by_hand.stage2, gated=False)
    found, before = calibrated.predict([chest()]), by_hand.predict([chest()])
    assert (found.predicted, found.reasons) == (["abstain"], ["abstain_stage1"])
    roots = np.sqrt(before.stage1_probabilities[0])
    np.testing.assert_allclose(found.stage1_probabilities[0], roots / roots.sum(), rtol=1e-5)
    # The saved copy is calibrated too.
    again = Cascade.open(calibrated.save(tmp_path / "cascade"))
    np.testing.assert_array_equal(again.predict([chest()]).probabilities, found.probabilities)
    assert again.predict([chest()]).reasons == ["abstain_stage1"]
    # Without its calibration the cascade would silently never abstain.
    kept = tmp_path / "cascade" / "stage1.calibration.json"
    whole = kept.read_text()
    kept.write_text(whole.replace("0.99", "0.09"))
    with pytest.raises(
        CascadeError, match=r"should abstain. Received: .*stage1.calibration.json, .* has changed"
    ):
        Cascade.open(tmp_path / "cascade")
    kept.unlink()
    with pytest.raises(CascadeError, match=r"should abstain. .*stage1.calibration.json, .* is missing"):
        Cascade.open(tmp_path / "cascade")
    shutil.copy(tmp_path / "one.calibration.json", tmp_path / "cascade" / "stage2.calibration.json")
    kept.write_text(whole)
    with pytest.raises(CascadeError, match=r"Received: .*stage2.calibration.json, .* has changed"):
        Cascade.open(tmp_path / "cascade")


@pytest.mark.parametrize("confidence", [float("nan"), "high", None, 1.5])
def test_a_confidence_outside_0_to_1_is_rejected(by_hand, tmp_path, confidence):
    file = tmp_path / "one.keras"
    calibrate_by_hand(file, 2.0, {"target_accuracy": 0.95, "confidence": confidence})
    with pytest.raises(RunFolderError, match=f"one.calibration.json: .*(NaN|'confidence': {confidence!r})"):
        Cascade(file, by_hand.lungs, by_hand.stage2)


def test_a_rejected_image_has_no_probabilities(by_hand):
    gated = Cascade(by_hand.stage1, by_hand.lungs, by_hand.stage2)
    images = [np.zeros((200, 200), "uint8"), draw_radiograph("normal", size=256).image]
    found = gated.predict(images)
    assert found.predicted[0] == "rejected"
    for probabilities in (found.probabilities, found.stage1_probabilities, found.stage2_probabilities):
        np.testing.assert_allclose(probabilities.sum(axis=1), [0, 1], rtol=1e-5)
    np.testing.assert_allclose(by_hand.predict(images).probabilities.sum(axis=1), 1, rtol=1e-5)


def test_a_saved_cascade_does_not_need_its_run_folders(by_hand, tmp_path):
    folder = by_hand.save(tmp_path / "cascade")
    for name in ("one", "unet", "two"):
        (tmp_path / f"{name}.keras").unlink()
    assert is_cascade(folder)
    again = Cascade.open(folder)
    np.testing.assert_array_equal(
        again.predict([chest()]).probabilities, by_hand.predict([chest()]).probabilities
    )
    with pytest.raises(OutputError, match="new or an empty folder.*cascade"):
        by_hand.save(folder)


@pytest.mark.parametrize("damaged", ["cascade.json", "stage1.keras", "everything"])
def test_a_folder_without_a_complete_cascade_is_named(by_hand, tmp_path, damaged):
    folder = by_hand.save(tmp_path / "cascade")
    if damaged == "everything":
        shutil.rmtree(folder)
    else:
        (folder / damaged).write_bytes((folder / damaged).read_bytes()[:-20])
    named = "cascade.json" if damaged == "everything" else damaged
    with pytest.raises(CascadeError, match=f"Received: .*{named}"):
        Cascade.open(folder)


@pytest.mark.parametrize("changed", [{"format": 99}, {"gated": "false"}, {"refines": None}])
def test_a_description_of_another_format_is_rejected(by_hand, tmp_path, changed):
    file = by_hand.save(tmp_path / "cascade") / "cascade.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(
        CascadeError,
        match=f"cascade.json, which is not complete: .*{next(iter(changed))}.*Write the cascade again",
    ):
        Cascade.open(tmp_path / "cascade")


def test_a_full_disk_leaves_no_partial_cascade(by_hand, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(OutputError, match=r"cascade \(No space left on device\)"):
            by_hand.save(tmp_path / "cascade")
    assert not list(tmp_path.glob("*cascade*"))
    by_hand.save(tmp_path / "cascade")


def test_the_command_lists_the_networks_and_warns_of_an_unmasked_stage_2(by_hand, tmp_path, capsys):
    places = [str(run.path) for run in by_hand.runs.values()]
    main(["cascade", *places, "--out", str(tmp_path / "cascade")])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"stage1: {places[0]}: normal, bacteria, virus",
        f"lungs: {places[1]}: lung",
        f"stage2: {places[2]}: other_viral, COVID-19",
        f"{tmp_path / 'cascade'}: normal, bacteria, other_viral, COVID-19",
    ]
    assert "warning" not in printed.err
    whole = brightness_network(tmp_path / "whole.keras", STAGE2, [0.0, 0.05])
    main(["cascade", *places[:2], str(whole), "--out", str(tmp_path / "another")])
    assert "warning: stage 2 receives images in which everything but the lungs" in capsys.readouterr().err


def test_published_weights_can_take_a_place(by_hand, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "zoo"))
    model = semenet.build("vgg19_gap", classes=STAGE2, input_shape=(32, 32, 1), **SMALL)
    folder = write_set(tmp_path / "zoo", model, "vgg19_gap", "trial", architecture=SMALL, lungs_alone=True)
    metadata = json.loads((folder / "metadata.json").read_text())
    recipe = json.loads(find_recipe("vgg19_gap").to_json()) | {"entry": "vgg19_gap"}
    metadata |= {
        "training": {"recipe": recipe, "command": "none", "manifest_sha256": "0" * 64},
        "calibration": {
            "temperature": 1.5,
            "split": "val",
            "count": 9,
            "manifest_sha256": "0" * 64,
            "operating_points": {},
            "abstain": None,
        },
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    cascade = Cascade(by_hand.stage1, by_hand.lungs, "vgg19_gap:trial")
    assert cascade.stage2.lungs_alone
    assert cascade.stage2.temperature == 1.5
    again = Cascade.open(cascade.save(tmp_path / "cascade"))
    assert again.stage2.temperature == 1.5
    np.testing.assert_allclose(
        again.predict([chest()]).probabilities, cascade.predict([chest()]).probabilities, atol=1e-6
    )


def test_networks_that_cannot_take_their_place_are_rejected(by_hand, tmp_path):
    with pytest.raises(CascadeError, match="stage 1 of a cascade must be a classifier.*unet"):
        Cascade(by_hand.lungs, by_hand.lungs, by_hand.stage2)
    with pytest.raises(ValueError, match="segmentation network with one class"):
        Cascade(by_hand.stage1, by_hand.stage1, by_hand.stage2)
    with pytest.raises(ValueError, match="normal, bacteria, virus. Received: 'viral'"):
        Cascade(by_hand.stage1, by_hand.lungs, by_hand.stage2, refines="viral")
    with pytest.raises(WeightsError, match="absent"):
        Cascade(tmp_path / "absent", by_hand.lungs, by_hand.stage2)
    with pytest.raises(ValueError, match="one image or more"):
        by_hand.predict([])
    with pytest.raises(ValueError, match="image 1 of shape"):
        by_hand.predict([chest(), np.zeros((4, 4, 3))])


def in_memory(path):
    """The model of a file, as `semenet.build` would have returned it."""
    return semenet.load_model(path)


def test_networks_are_given_as_models_runs_and_paths_in_any_combination(by_hand, tmp_path, monkeypatch):
    expected = by_hand.predict(chest())
    one, unet, two = (run.path for run in by_hand.runs.values())
    for networks in (
        (in_memory(one), in_memory(unet), in_memory(two)),
        (in_memory(one), str(unet), Run.open(two)),
        (one, in_memory(unet), str(two)),
    ):
        found = Cascade(*networks, gated=False).predict(chest())
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "zoo"))
    model = semenet.build("vgg19_gap", classes=STAGE2, input_shape=(32, 32, 1), **SMALL)
    write_set(tmp_path / "zoo", model, "vgg19_gap", "trial", architecture=SMALL)
    published = Cascade(in_memory(one), unet, "vgg19_gap:trial", gated=False).predict(chest())
    built = Cascade(one, in_memory(unet), model, gated=False).predict(chest())
    np.testing.assert_allclose(published.probabilities, built.probabilities, atol=1e-6)


def test_a_cascade_of_built_models_is_saved_and_opened(by_hand, tmp_path):
    cascade = Cascade(*(in_memory(run.path) for run in by_hand.runs.values()), gated=False)
    again = Cascade.open(cascade.save(tmp_path / "cascade"))
    np.testing.assert_array_equal(
        again.predict(chest()).probabilities, by_hand.predict(chest()).probabilities
    )
    description = json.loads((tmp_path / "cascade" / "cascade.json").read_text())
    assert [description[stage]["from"] for stage in ("stage1", "lungs")] == ["brightness", "unet"]


def test_an_unusable_network_is_named(by_hand):
    with pytest.raises(SemenetError, match="Received: .*int"):
        Cascade(by_hand.stage1, by_hand.lungs, 5)
    headless = keras.Sequential(
        [keras.Input((32, 32, 1)), keras.layers.Flatten(name="flat")], name="headless"
    )
    with pytest.raises(WeightsError, match="Received: headless, whose last layer is flat"):
        Cascade(headless, by_hand.lungs, by_hand.stage2)


def test_images_are_arrays_and_paths_one_or_many(by_hand, tmp_path):
    file = tmp_path / "chest.png"
    cv2.imwrite(str(file), chest())
    expected = by_hand.predict([chest()]).probabilities
    for image in (chest(), file, str(file), [file], np.stack([chest()]), (path for path in [str(file)])):
        np.testing.assert_array_equal(by_hand.predict(image).probabilities, expected)
    mixed = by_hand.predict([file, chest(), str(file)], batch_size=2)
    np.testing.assert_allclose(mixed.probabilities, np.repeat(expected, 3, axis=0), rtol=1e-6)
    with pytest.raises(ImageError, match="missing.png"):
        by_hand.predict([file, tmp_path / "missing.png"])


def test_a_coloured_file_is_rejected(by_hand, tmp_path):
    gated = Cascade(by_hand.stage1, by_hand.lungs, by_hand.stage2)
    photograph = tmp_path / "photograph.png"
    cv2.imwrite(
        str(photograph), cv2.applyColorMap(draw_radiograph("normal", size=128).image, cv2.COLORMAP_JET)
    )
    found = gated.predict(photograph)
    assert found.predicted == ["rejected"]
    assert found.reasons == ["colour_photograph"]
