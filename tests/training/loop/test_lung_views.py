"""A network that sees images cut to their lungs and standardised, from training to prediction."""

import dataclasses
import json
import shutil

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from hand_made_networks import chest_image, threshold_unet, viewed_classifier

import semenet
from semenet.data.manifest.table import ManifestError, read_manifest
from semenet.data.pipeline.datasets import evaluation_dataset, training_batches
from semenet.data.transforms.augmentation import Augmentation
from semenet.data.transforms.lung_view import LungView
from semenet.data.transforms.lung_view_on_host import view_lungs
from semenet.errors import SemenetError
from semenet.training.loop.fit import build_network, train
from semenet.training.options import DataOptions, RunOptions
from semenet.training.recipe import Recipe, RecipeError
from semenet.training.run_folder.run import Run

NAMES = ("normal", "bacteria", "virus")
VIEW = LungView(box=True, margin=0.1, standardize=True)


@pytest.fixture(scope="module")
def manifest(phantoms, tmp_path_factory):
    """The phantoms, one training image with an empty mask."""
    folder = tmp_path_factory.mktemp("boxed") / "set"
    shutil.copytree(phantoms.parent, folder)
    rows = read_manifest(folder / "manifest.csv").split("train")
    path = rows["mask_path"][3]
    cv2.imwrite(path, np.zeros_like(cv2.imread(path, cv2.IMREAD_GRAYSCALE)))
    return folder / "manifest.csv"


@pytest.fixture
def boxed(tmp_path):
    """A network that is not trained, with the view."""
    settings = {"lungs_box": True, "lungs_box_margin": 0.1, "standardize": True}
    return viewed_classifier(tmp_path / "boxed.keras", NAMES, (32, 32), **settings)


def rows_of(manifest, split):
    return read_manifest(manifest, required=("label", "mask")).split(split)


def test_batches_show_what_the_specification_says(manifest):
    rows = rows_of(manifest, "train")
    batches = training_batches(
        rows,
        class_names=NAMES,
        input_size=(32, 40),
        batch_size=len(rows),
        augmentation=Augmentation(views=("masked", "original")),
        view=VIEW,
        shuffle=False,
    )
    (masked, _), (images, _) = batches[0], batches[1]
    (evaluated,) = evaluation_dataset(rows, input_size=(32, 40), batch_size=len(rows), view=VIEW)
    np.testing.assert_array_equal(evaluated, images)
    for number, row in rows.iterrows():
        image, mask = semenet.read_image(row["path"]), semenet.data.read_mask(row["mask_path"])
        viewed = view_lungs(image, mask, (32, 40), VIEW)
        np.testing.assert_array_equal(images[number, ..., 0], viewed.image)
        np.testing.assert_array_equal(masked[number, ..., 0], viewed.image * viewed.mask)
        prepared = semenet.data.prepare_view(image, mask, VIEW, (32, 40))
        np.testing.assert_array_equal(prepared.image[..., 0], viewed.image)
    # The image whose mask is empty is shown whole, also in the masked view.
    assert np.count_nonzero(masked[3]) > 0.9 * np.count_nonzero(images[3])


def test_views_share_no_cache(manifest, tmp_path):
    rows = rows_of(manifest, "train")
    views = (LungView(), VIEW, dataclasses.replace(VIEW, margin=0), LungView(standardize=True))

    def images(view, **cache):
        (found,) = evaluation_dataset(rows, input_size=(32, 32), batch_size=len(rows), view=view, **cache)
        return found.numpy()

    expected = [images(view) for view in views]
    assert len({each.tobytes() for each in expected}) == len(views)
    for kind in ({"cache": "memory"}, {"cache": "disk", "cache_folder": tmp_path}):
        for _ in range(2):
            for view, each in zip(views, expected, strict=True):
                np.testing.assert_array_equal(images(view, **kind), each)
    assert len(list(tmp_path.iterdir())) == len(views)
    # A changed mask is noticed, although the cache holds no masks.
    path = rows["mask_path"][0]
    before = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    try:
        cv2.imwrite(path, np.roll(before, 9, axis=0))
        changed = images(VIEW, cache="disk", cache_folder=tmp_path)
        np.testing.assert_array_equal(changed, images(VIEW))
        assert (changed[0] != expected[1][0]).any()
    finally:
        cv2.imwrite(path, before)


def test_a_run_is_validated_and_evaluated_on_what_it_sees(manifest, tmp_path, tiny_recipe):
    view = {"lungs_box": True, "lungs_box_margin": 0.1, "standardize": True}
    recipe = tiny_recipe("resnet50_gap", epochs=1, **view)
    run = train(recipe, manifest, tmp_path / "run", options=RunOptions(tensorboard=False))
    assert run.lung_view == VIEW == run.recipe.lung_view
    assert run.needs_lungs
    assert not run.lungs_alone
    file = rows_of(manifest, "train")["file"][3]
    assert run.record["implausible_lungs"] == [
        {"split": "train", "file": file, "failed": "area count position"}
    ]
    found = semenet.evaluate(run, manifest, "val", out=tmp_path / "evaluation", resamples=200)
    assert found["macro_auroc"] == pytest.approx(run.record["best"], abs=1e-6)
    count = len(rows_of(manifest, "val"))
    assert found["lungs"] == {"masks": "the manifest's masks", "images": count, "implausible": 0}
    table = pd.read_csv(tmp_path / "evaluation" / "predictions.csv", keep_default_na=False)
    assert (table["lung_flags"] == "").all()
    assert "lung masks are implausible" not in (tmp_path / "evaluation" / "report.html").read_text()


def test_evaluation_reports_implausible_masks(boxed, manifest, tmp_path):
    found = semenet.evaluate(boxed, manifest, "train", out=tmp_path / "train", resamples=200)
    assert found["lungs"]["implausible"] == 1
    count = len(rows_of(manifest, "train"))
    assert f"1 of {count} lung masks are implausible" in (tmp_path / "train" / "report.html").read_text()
    assert "lungs' box with a margin of 10 %" in (tmp_path / "train" / "card.md").read_text()
    table = pd.read_csv(tmp_path / "train" / "predictions.csv", keep_default_na=False)
    assert table["lung_flags"][3] == "area count position"
    assert (table["lung_flags"].drop(3) == "").all()


def test_prediction_equals_evaluation_with_the_same_masks(boxed, tmp_path):
    names = list(NAMES)
    images = [chest_image((90 + 7 * number, 120 - 9 * number), number) for number in range(7)]
    images += [np.full((64, 64), 150, np.uint8), chest_image((128, 96))[:, :48]]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    rows = [
        {"file": f"{number}.png", "label": names[number % 3], "patient": f"p{number}", "split": "val"}
        for number in range(len(images))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "bare.csv", index=False)
    unet = threshold_unet(tmp_path / "unet.keras")
    semenet.serving.fill_masks(tmp_path / "bare.csv", unet, tmp_path / "filled.csv")
    semenet.evaluate(boxed, tmp_path / "filled.csv", "val", out=tmp_path / "by_files", resamples=200)
    semenet.evaluate(boxed, tmp_path / "bare.csv", "val", out=tmp_path / "by_unet", lungs=unet, resamples=200)
    by_files, by_unet = (
        pd.read_csv(tmp_path / name / "predictions.csv", keep_default_na=False)
        for name in ("by_files", "by_unet")
    )
    assert by_unet["lung_flags"].tolist() == [*[""] * 7, "area count position", "count"]
    pd.testing.assert_frame_equal(by_files, by_unet)
    files = [tmp_path / row["file"] for row in rows]
    predicted = semenet.predict(boxed, files, tmp_path / "predictions.csv", lungs=unet, gated=False)
    np.testing.assert_array_equal(predicted[names], by_unet[names].astype("float32"))
    assert predicted["lung_flags"].tolist() == by_unet["lung_flags"].tolist()
    np.testing.assert_array_equal(
        semenet.predict_arrays(boxed, images, lungs=unet), predicted[names].to_numpy()
    )
    with pytest.raises(SemenetError, match="--lungs"):
        semenet.predict(boxed, files[0])


def test_heat_maps_are_drawn_at_the_box_s_place(boxed, tmp_path):
    image = chest_image((300, 200))
    cv2.imwrite(str(tmp_path / "chest.png"), image)
    cv2.imwrite(str(tmp_path / "mask.png"), np.uint8(image < 100) * 255)
    out = tmp_path / "maps"
    semenet.explain(boxed, tmp_path / "chest.png", out=out, masks=tmp_path / "mask.png", class_name="virus")
    heat = cv2.imread(str(out / "chest_heatmap.png"), cv2.IMREAD_GRAYSCALE)
    overlay = cv2.imread(str(out / "chest_overlay.png"))
    # The lungs lie in rows 75 to 225 and columns 33 to 166; the margin is a tenth.
    outside = np.ones(image.shape, bool)
    outside[60:240, 20:179] = False
    assert heat.shape == image.shape
    assert not heat[outside].any()
    np.testing.assert_array_equal(overlay[outside], np.repeat(image[outside][:, None], 3, axis=1))
    by_unet = tmp_path / "by_unet"
    unet = threshold_unet(tmp_path / "unet.keras")
    table = semenet.explain(boxed, tmp_path / "chest.png", out=by_unet, lungs=unet)
    predicted = semenet.predict(boxed, tmp_path / "chest.png", lungs=unet, gated=False)
    assert table["predicted"].tolist() == predicted["predicted"].tolist()
    with pytest.raises(SemenetError, match="--lungs"):
        semenet.explain(boxed, tmp_path / "chest.png", out=tmp_path / "none")


def test_an_audit_sees_what_the_network_sees(boxed, manifest, tmp_path):
    found = semenet.audit(boxed, manifest, "train", out=tmp_path / "audit", resamples=200)
    assert found["lungs"]["implausible"] == 1
    # In the box the lungs fill more of the image than in the whole film; the whole film is masked by ones.
    rows = rows_of(manifest, "train")
    shares = [semenet.data.read_mask(path).mean() for path in rows["mask_path"]]
    assert found["lungs"]["median"] > np.median(shares)
    assert found["lungs"]["most"] == 1


def _without_masks(manifest, folder):
    rows = read_manifest(manifest).rows
    bare = rows[["label", "patient", "split"]].assign(file=rows["path"])
    bare.to_csv(folder / "bare.csv", index=False)
    return folder / "bare.csv"


def test_masks_that_are_missing_are_reported(boxed, manifest, tmp_path, tiny_recipe):
    bare = _without_masks(manifest, tmp_path)
    with pytest.raises(SemenetError, match="lung mask"):
        semenet.evaluate(boxed, bare, "val", out=tmp_path / "evaluation")
    with pytest.raises(SemenetError, match="semenet masks"):
        train(tiny_recipe("seme_resnet50", lungs_box=True), bare, tmp_path / "run")
    rows = read_manifest(manifest).rows
    rows.loc[rows["split"] == "val", "mask"] = ""
    partly = manifest.with_name("partly.csv")
    rows.drop(columns=["path", "mask_path"]).to_csv(partly, index=False)
    with pytest.raises(ManifestError, match="every row of train and val"):
        train(tiny_recipe("seme_resnet50", standardize=True), partly, tmp_path / "run")


def test_a_killed_run_ends_with_the_same_weights(manifest, tmp_path, tiny_recipe):
    recipe = tiny_recipe("resnet50_gap", lungs_box=True, standardize=True, views=("masked",), rotation=10)
    options = RunOptions(deterministic=True, tensorboard=False)
    data = DataOptions(cache="disk", cache_folder=tmp_path / "cache")
    whole = train(recipe, manifest, tmp_path / "whole", options=options)

    def kill(self, *arguments):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semenet.training.loop.validation.Validation.measure", kill)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, manifest, tmp_path / "killed", data=data, options=options)
    resumed = train(recipe, manifest, tmp_path / "killed", data=data, options=options)
    for expected, found in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert resumed.lungs_alone
    assert len(resumed.record["implausible_lungs"]) == 1


def test_files_and_recipes_from_before_the_views_load(tmp_path, tiny_recipe):
    recipe = tiny_recipe("seme_resnet50")
    fields = json.loads(recipe.to_json())
    for name in ("lungs_box", "lungs_box_margin", "standardize"):
        del fields[name]
    assert Recipe.from_json(json.dumps(fields)) == recipe
    network = build_network(recipe)
    config = network.get_layer("head").get_config()
    assert not {"lungs_box", "lungs_box_margin", "standardize"} & set(config)
    network.save(tmp_path / "plain.keras")
    assert Run.open(tmp_path / "plain.keras").lung_view == LungView()
    boxed = build_network(dataclasses.replace(recipe, lungs_box=True, lungs_box_margin=0.02))
    boxed.save(tmp_path / "boxed.keras")
    loaded = Run.open(tmp_path / "boxed.keras")
    assert loaded.lung_view == LungView(box=True, margin=0.02)
    clone = keras.models.clone_model(loaded.model)
    assert clone.get_layer("head").lungs_box_margin == 0.02


def test_recipes_refuse_views_that_make_no_sense(tiny_recipe):
    with pytest.raises(RecipeError, match="only for networks that classify"):
        tiny_recipe("unet", lungs_box=True)
    with pytest.raises(RecipeError, match="needs --lungs-box"):
        tiny_recipe("seme_resnet50", lungs_box_margin=0.1)
    with pytest.raises(RecipeError, match="0.5"):
        tiny_recipe("seme_resnet50", lungs_box=True, lungs_box_margin=0.6)
