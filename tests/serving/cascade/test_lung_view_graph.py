"""A cascade and exports of networks that see images cut to their lungs and standardised."""

import functools
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hand_made_networks import chest_image, threshold_unet, viewed_classifier

import semenet
from semenet.cli.main import main
from semenet.errors import SemenetError
from semenet.inference.lung_masks import LungMasks
from semenet.inference.network_inputs import prepare_views, stack_views
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.cascade.lung_view_graph import lung_view_graph, pack_original
from semenet.serving.exports.saved_model import export
from semenet.training.run_folder.run import Run

STAGE1, STAGE2 = ("normal", "bacteria", "virus"), ("other_viral", "COVID-19")
BOX = {"lungs_box": True, "standardize": True}


@pytest.fixture(scope="module")
def images():
    """Images of several sizes with lungs, and two without."""
    chests = [
        chest_image(size, seed) for seed, size in enumerate([(96, 128), (301, 207), (64, 64), (150, 151)])
    ]
    return [*chests, np.full((80, 90), 150, np.uint8), chest_image((333, 128))[:, :64]]


@pytest.fixture(scope="module")
def files(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    return paths


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A U-Net; a boxed stage 1; a stage 2 that is boxed, masked and gets CLAHE."""
    folder = tmp_path_factory.mktemp("networks")
    return (
        viewed_classifier(folder / "one.keras", STAGE1, (48, 40), **BOX, lungs_box_margin=0.1),
        threshold_unet(folder / "unet.keras"),
        viewed_classifier(
            folder / "two.keras", STAGE2, (40, 56), 3, lungs_box=True, lungs_alone=True, inference_clahe=True
        ),
    )


@pytest.fixture(scope="module")
def cascade(networks):
    return Cascade(*networks, gated=False)


def on_host(networks, images, which):
    """The images as evaluation prepares them."""
    run = Run.open(networks[which])
    masks = LungMasks.open(networks[1]).segment_in_full(images)
    return run, stack_views(prepare_views(images, masks, run), run)


@functools.lru_cache(maxsize=2)
def load(folder):
    return tf.saved_model.load(folder)


def served(folder, signature="serving_default"):
    loaded = load(str(folder))
    function = loaded.signatures[signature]

    def call(**arrays):
        answer = function(**{name: tf.constant(values) for name, values in arrays.items()})
        return {name: value.numpy() for name, value in answer.items()}

    call.keep = loaded
    return call


def test_the_graph_prepares_images_as_the_host_does(networks, images):
    levels = np.stack(
        [np.rint(255 * probability) for probability in _probabilities(networks[1], images)]
    ).astype(np.int32)
    originals = tf.constant([pack_original(image) for image in images])
    expected = [on_host(networks, images, which) for which in (0, 2)]
    graph = tf.function(lung_view_graph([run for run, _ in expected]))
    found = graph(originals, tf.constant(levels))
    for (_, inputs), in_graph, boxes in zip(expected, found.images, found.boxes, strict=True):
        np.testing.assert_array_equal(in_graph, inputs.images)
        np.testing.assert_array_equal(boxes, inputs.boxes)
    assert [bool(failed.any()) for failed in found.failed.numpy()] == [False] * 4 + [True] * 2


def _probabilities(unet, images):
    masks = LungMasks.open(unet)
    return masks.probabilities(masks._prepared_for_unet(images))


def test_a_cascade_feeds_its_stages_what_their_views_show(cascade, networks, images):
    found = cascade.predict(images, explain=True, batch_size=4)
    for stage, which in (("stage1", 0), ("stage2", 2)):
        run, inputs = on_host(networks, images, which)
        expected = run.model(inputs.images).numpy()
        np.testing.assert_allclose(getattr(found, f"{stage}_probabilities"), expected, atol=1e-6)
        np.testing.assert_array_equal(getattr(found, f"{stage}_boxes"), inputs.boxes)
        assert [" ".join(flags) for flags in found.lung_flags] == inputs.flags
    # Rows 75 to 225 and columns 34 to 172, with a margin of 10 %; a cell of the U-Net has 3 to 5 pixels.
    np.testing.assert_allclose(found.stage1_boxes[1], [60, 20, 240, 186], atol=5)
    alone = semenet.predict_arrays(networks[0], images, lungs=networks[1])
    np.testing.assert_allclose(found.stage1_probabilities, alone, atol=1e-6)


def test_one_boxed_stage_leaves_the_other_as_it_was(cascade, networks, images, tmp_path):
    plain = viewed_classifier(tmp_path / "plain.keras", STAGE1, (48, 40))
    mixed = Cascade(plain, *networks[1:], gated=False)
    found, both = mixed.predict(images), cascade.predict(images)
    np.testing.assert_allclose(found.stage1_probabilities, semenet.predict_arrays(plain, images), atol=1e-6)
    np.testing.assert_allclose(found.stage2_probabilities, both.stage2_probabilities, atol=1e-6)


@pytest.mark.slow
def test_the_saved_model_of_a_cascade_equals_python(cascade, images, files, tmp_path):
    exported = export(cascade.save(tmp_path / "cascade"), tmp_path / "saved")
    expected = cascade.predict(files, explain=True)
    answer = served(exported, "explain")(image_bytes=[file.read_bytes() for file in files] + [b"no image"])
    assert answer["error_code"].tolist() == [0] * len(files) + [1]
    for name in ("probabilities", "stage1_probabilities", "stage2_probabilities"):
        np.testing.assert_allclose(answer[name][:-1], getattr(expected, name), atol=1e-6)
    for name in ("stage1", "stage2"):
        np.testing.assert_array_equal(answer[f"{name}_box"][:-1], getattr(expected, f"{name}_boxes"))
        np.testing.assert_allclose(
            answer[f"{name}_heat_map"][:-1], getattr(expected, f"{name}_heat_maps"), atol=1e-4
        )
    flags = [" ".join(flags) for flags in expected.lung_flags]
    assert [text.decode() for text in answer["lung_flags"]] == [*flags, ""]
    pixels = served(exported, "predict_pixels")(pixels=images[1][np.newaxis])
    np.testing.assert_allclose(pixels["probabilities"], expected.probabilities[1:2], atol=1e-6)
    description = json.loads((exported / "assets.extra" / "semenet.json").read_text())
    assert "margin of 10 %" in description["stages"]["stage1"]["lung_view"]
    main(["predict", str(tmp_path / "cascade"), str(files[0].parent), "--out", str(tmp_path / "table.csv")])
    table = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    np.testing.assert_allclose(table[list(cascade.class_names)], expected.probabilities, atol=1e-6)
    assert table["lung_flags"].tolist() == flags


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 2])
def test_one_network_is_exported_with_its_u_net(networks, files, images, which, tmp_path, capsys):
    main(["export", str(networks[which]), str(tmp_path / "saved"), "--lungs", str(networks[1])])
    expected = semenet.predict(networks[which], files, lungs=networks[1], gated=False)
    names = list(Run.open(networks[which]).class_names)
    answer = served(tmp_path / "saved", "explain")(image_bytes=[file.read_bytes() for file in files])
    np.testing.assert_allclose(answer["probabilities"], expected[names], atol=1e-6)
    assert [text.decode() for text in answer["lung_flags"]] == expected["lung_flags"].tolist()
    assert [text.decode() for text in answer["predicted"]] == expected["predicted"].tolist()
    np.testing.assert_array_equal(answer["box"], on_host(networks, images, which)[1].boxes)
    pixels = served(tmp_path / "saved", "predict_pixels")(pixels=images[0][np.newaxis])
    np.testing.assert_allclose(pixels["probabilities"], answer["probabilities"][:1], atol=1e-6)


@pytest.mark.slow
def test_a_network_of_lungs_alone_is_exported_with_its_u_net(networks, files, tmp_path):
    alone = viewed_classifier(tmp_path / "alone.keras", STAGE1, (40, 40), lungs_alone=True)
    export(alone, tmp_path / "saved", lungs=networks[1])
    expected = semenet.predict(alone, files, lungs=networks[1], gated=False)
    answer = served(tmp_path / "saved")(image_bytes=[file.read_bytes() for file in files])
    np.testing.assert_allclose(answer["probabilities"], expected[list(STAGE1)], atol=1e-6)
    assert "lung_flags" not in answer


def test_lungs_are_needed_exactly_where_they_are_used(networks, cascade, tmp_path, capsys):
    with pytest.raises(SemenetError, match=r"cannot find lungs.*--lungs"):
        export(networks[0], tmp_path / "saved")
    plain = viewed_classifier(tmp_path / "plain.keras", STAGE1, (48, 40))
    with pytest.raises(SemenetError, match="takes whole images. Leave --lungs out"):
        export(plain, tmp_path / "saved", lungs=networks[1])
    with pytest.raises(SemenetError, match="its own segmentation network. Leave --lungs out"):
        export(cascade.save(tmp_path / "cascade"), tmp_path / "saved", lungs=networks[1])
    with pytest.raises(SystemExit):
        main(["export", str(plain), str(tmp_path / "s"), "--format", "onnx", "--lungs", str(networks[1])])
    assert "prepared images" in capsys.readouterr().err
