import dataclasses
import json
import pathlib
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import semenet
from semenet.data.images.errors import ImageError
from semenet.data.manifest.table import ManifestError, label_index, read_manifest, write_manifest
from semenet.errors import SemenetError
from semenet.training.loop.checkpoint_callback import TrainingError
from semenet.training.loop.fit import build_network, train
from semenet.training.options import DataOptions, RunOptions
from semenet.training.run_folder.record import RunFolderError
from semenet.training.run_folder.run import Run

ROOT = pathlib.Path(__file__).parents[3]


def test_a_run_folder_holds_everything_about_its_run(classifier_run, phantoms, tiny_recipe):
    run = Run.open(classifier_run)
    assert run.recipe == tiny_recipe("seme_resnet50")
    assert run.record["status"] == "finished"
    assert run.record["manifest_sha256"] == read_manifest(phantoms).sha256
    assert run.record["images"] == read_manifest(phantoms).rows["split"].value_counts().to_dict()
    assert {"python", "keras", "tensorflow", "semenet"} <= set(run.record["versions"])
    assert run.history["epoch"].tolist() == [1, 2]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_macro_auroc"} <= set(run.history.columns)
    assert run.class_names == ("normal", "bacteria", "virus")
    assert (run.input_size, run.channels, run.segments) == ((32, 32), 1, False)
    assert (classifier_run / "last.weights.h5").is_file()
    assert semenet.load_model(classifier_run).class_names == run.class_names


def test_the_saved_network_is_that_of_the_best_epoch_and_its_metrics_are_correct(classifier_run, phantoms):
    run = Run.open(classifier_run)
    best = run.history["val_macro_auroc"].max()
    assert run.record["best"] == pytest.approx(best)
    assert run.history["val_macro_auroc"][run.record["best_epoch"] - 1] == pytest.approx(best)

    from sklearn.metrics import roc_auc_score

    from semenet.data.pipeline.datasets import evaluation_dataset

    rows = read_manifest(phantoms).split("val")
    images = evaluation_dataset(rows, input_size=(32, 32), batch_size=8)
    probabilities = run.model.predict(images, verbose=0)
    true = label_index(rows, run.class_names)
    auroc = roc_auc_score(np.eye(3)[true], probabilities, average="macro")
    assert auroc == pytest.approx(best, abs=1e-6)


@pytest.mark.slow
def test_learns_to_separate_bright_from_dark_images(tmp_path, tiny_recipe):
    """A run learns to separate classes that are easily told apart."""
    import cv2

    rng = np.random.default_rng(0)
    rows = []
    for number in range(48):
        label = ("normal", "bacteria")[number % 2]
        image = rng.integers(0, 100, (40, 40)) + (150 if label == "bacteria" else 0)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image.astype("uint8"))
        split = "train" if number < 32 else "val"
        rows.append({"file": f"{number}.png", "label": label, "patient": f"p{number}", "split": split})
    write_manifest(pd.DataFrame(rows), tmp_path / "manifest.csv")
    recipe = tiny_recipe(
        "resnet50_gap", classes=("normal", "bacteria"), epochs=6, learning_rate=0.02, monitor="val_accuracy"
    )
    assert train(recipe, tmp_path / "manifest.csv", tmp_path / "run").record["best"] == 1.0


def test_a_finished_run_is_not_changed(classifier_run, phantoms, tiny_recipe, capsys):
    (classifier_run / ".notes").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in classifier_run.rglob("*")}
    train(tiny_recipe("seme_resnet50"), phantoms, classifier_run)
    assert "nothing to train" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in classifier_run.rglob("*")} == before


def test_resuming_with_another_recipe_or_manifest_raises(classifier_run, phantoms, tiny_recipe, tmp_path):
    with pytest.raises(RunFolderError, match="epochs 2, now 5"):
        train(tiny_recipe("seme_resnet50", epochs=5), phantoms, classifier_run)
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask_path"], errors="ignore")
    write_manifest(rows.iloc[1:], tmp_path / "other.csv")
    with pytest.raises(RunFolderError, match="another manifest"):
        train(tiny_recipe("seme_resnet50"), tmp_path / "other.csv", classifier_run, root=phantoms.parent)


def test_a_run_killed_after_its_last_epoch_is_completed(classifier_run, phantoms, tiny_recipe, tmp_path):
    """Temporary files are deleted; the user's own files stay."""
    folder = shutil.copytree(classifier_run, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "training"}))
    (folder / "last.weights.h5").unlink()
    (folder / ".abcd1234.last.weights.h5").write_bytes(b"half")
    (folder / ".gitignore").write_text("mine")
    train(tiny_recipe("seme_resnet50"), phantoms, folder)
    again = json.loads((folder / "run.json").read_text())
    assert len(again.pop("starts")) == len(record.pop("starts")) + 1
    assert again == record
    names = {path.name for path in folder.iterdir()}
    assert {"last.weights.h5", ".gitignore"} <= names
    assert ".abcd1234.last.weights.h5" not in names


@pytest.mark.parametrize(
    "mistake",
    [{"weights": "nowhere"}, {"views": ("original", "masked")}, {"classes": ("normal", "bacteria")}],
)
def test_wrong_arguments_create_no_folder(phantoms, tiny_recipe, tmp_path, mistake):
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask", "mask_path"])
    write_manifest(rows, tmp_path / "unmasked.csv")
    with pytest.raises(SemenetError, match="Received"):
        train(
            tiny_recipe("vgg19_gap", **mistake),
            tmp_path / "unmasked.csv",
            tmp_path / "run",
            root=phantoms.parent,
        )
    assert not (tmp_path / "run").exists()


def test_a_missing_validation_image_raises_before_the_first_epoch(phantoms, tiny_recipe, tmp_path):
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask", "mask_path"])
    rows.loc[rows.index[rows["split"] == "val"][0], "file"] = "images/absent.png"
    write_manifest(rows, tmp_path / "absent.csv")
    with pytest.raises(ImageError, match=r"absent\.png.*--root"):
        train(tiny_recipe("vgg19_gap"), tmp_path / "absent.csv", tmp_path / "run", root=phantoms.parent)


def test_a_monitor_that_val_cannot_provide_raises(phantoms, tiny_recipe, tmp_path):
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask", "mask_path"])
    rows = rows[(rows["split"] != "val") | (rows["label"] == "normal")]
    write_manifest(rows, tmp_path / "one.csv")
    with pytest.raises(ManifestError, match="two classes or more.*--monitor val_loss"):
        train(tiny_recipe("vgg19_gap"), tmp_path / "one.csv", tmp_path / "run", root=phantoms.parent)


def test_the_lowest_loss_is_the_best(phantoms, tiny_recipe, tmp_path):
    run = train(tiny_recipe("vgg19_gap", monitor="val_loss", epochs=3), phantoms, tmp_path / "run")
    assert run.record["best"] == run.history["val_loss"].min()
    assert run.record["best_epoch"] == run.history["val_loss"].idxmin() + 1


@pytest.mark.parametrize("content", [None, "{", ""])
def test_the_error_names_a_damaged_record(classifier_run, tmp_path, content):
    folder = shutil.copytree(classifier_run, tmp_path / "run")
    (folder / "run.json").unlink()
    if content is not None:
        (folder / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"complete run\.json"):
        Run.open(folder)


def test_a_folder_with_other_files_raises(phantoms, tiny_recipe, tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(RunFolderError, match="new or an empty folder.*Received"):
        train(tiny_recipe("seme_resnet50"), phantoms, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_a_patient_in_two_splits_raises(phantoms, tiny_recipe, tmp_path):
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask_path"], errors="ignore")
    train_patient = rows.loc[rows["split"] == "train", "patient"].iloc[0]
    rows.loc[rows.index[rows["split"] == "val"][0], "patient"] = train_patient
    write_manifest(rows, tmp_path / "leaky.csv")
    with pytest.raises(ManifestError, match=str(train_patient)):
        train(tiny_recipe("seme_resnet50"), tmp_path / "leaky.csv", tmp_path / "run", root=phantoms.parent)
    assert not (tmp_path / "run").exists()


def test_a_label_without_a_class_and_a_class_without_images_raise(phantoms, tiny_recipe, tmp_path):
    with pytest.raises(ManifestError, match="virus"):
        train(tiny_recipe("seme_resnet50", classes=("normal", "bacteria")), phantoms, tmp_path / "run")
    classes = ("normal", "bacteria", "virus", "COVID-19")
    with pytest.raises(ManifestError, match="none of COVID-19"):
        train(tiny_recipe("seme_resnet50", classes=classes), phantoms, tmp_path / "run")


def test_the_error_names_a_damaged_image(phantoms, tiny_recipe, tmp_path):
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask_path"], errors="ignore")
    rows["file"] = [str(phantoms.parent / file) for file in rows["file"]]
    bad = tmp_path / "truncated.png"
    first = rows.index[rows["split"] == "train"][0]
    bad.write_bytes(pathlib.Path(rows.loc[first, "file"]).read_bytes()[:200])
    rows.loc[first, "file"] = str(bad)
    write_manifest(rows.drop(columns=["mask", "lesion_mask"]), tmp_path / "bad.csv")
    with pytest.raises(ImageError, match=r"truncated\.png"):
        train(tiny_recipe("vgg19_gap"), tmp_path / "bad.csv", tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_training(phantoms, tiny_recipe, tmp_path):
    recipe = tiny_recipe("vgg19_gap", learning_rate=1e38)
    with pytest.raises(TrainingError, match="must stay finite.*lower --learning-rate"):
        train(recipe, phantoms, tmp_path / "run")


def test_weights_that_are_not_finite_are_not_saved(phantoms, tiny_recipe, tmp_path):
    """The first loss is still finite, but its update is not."""
    recipe = tiny_recipe("vgg19_gap", learning_rate=1e300, momentum=0.0)
    options = RunOptions(checkpoint_every=1)
    with pytest.raises(TrainingError, match="weights that are not finite, in epoch 1, step 1. Nothing was"):
        train(recipe, phantoms, tmp_path / "run", options=options)
    assert not (tmp_path / "run" / "checkpoints" / "last.npz").exists()


def test_a_resumed_run_writes_the_best_network_that_a_kill_prevented(phantoms, tiny_recipe, tmp_path):
    recipe = tiny_recipe("vgg19_gap", epochs=1, ema=0.5)
    run = train(recipe, phantoms, tmp_path / "run")
    weights = run.model.get_weights()
    (run.path / "model.keras").unlink()
    (run.path / "run.json").write_text(json.dumps(run.record | {"status": "training"}))
    again = train(recipe, phantoms, tmp_path / "run")
    for mine, theirs in zip(again.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [len(record["starts"]) for record in (run.record, again.record)] == [1, 2]


@pytest.mark.parametrize("change", [{"precision": "mixed_bfloat16"}, {"backend": "jax"}])
def test_resuming_with_another_policy_or_backend_raises(
    classifier_run, phantoms, tiny_recipe, tmp_path, change
):
    folder = shutil.copytree(classifier_run, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | change | {"status": "training"}))
    with pytest.raises(RunFolderError, match=f"started with {next(iter(change))} .*, now"):
        train(tiny_recipe("seme_resnet50"), phantoms, folder)


def test_resuming_with_other_initial_weights_raises(classifier_run, phantoms, tiny_recipe, tmp_path):
    start = shutil.copytree(classifier_run, tmp_path / "start")
    recipe = tiny_recipe("seme_resnet50", weights=str(start), epochs=1)
    train(recipe, phantoms, tmp_path / "run")
    (start / "model.keras").write_bytes(b"another")
    with pytest.raises(RunFolderError, match="other weights to start from"):
        train(recipe, phantoms, tmp_path / "run")


def test_patience_stops_a_run_that_does_not_improve(phantoms, tiny_recipe, tmp_path):
    """At this learning rate neither the float32 weights nor the metric change."""
    recipe = tiny_recipe("vgg19_gap", monitor="val_accuracy", learning_rate=1e-30, epochs=9, patience=2)
    assert len(train(recipe, phantoms, tmp_path / "run").history) == 3


def test_training_restores_tensorflow_s_graph_optimiser(classifier_run):
    options = tf.config.optimizer.get_experimental_options()
    assert not options.get("disable_meta_optimizer", False)


@pytest.mark.slow
def test_trains_on_masked_views_with_clahe_at_inference(phantoms, tiny_recipe, tmp_path):
    recipe = tiny_recipe(
        "vgg19_gap", views=("original", "masked"), rotation=30.0, epochs=1, inference_clahe=True
    )
    run = train(recipe, phantoms, tmp_path / "run")
    assert run.inference_clahe
    assert np.isfinite(run.history["loss"]).all()


def test_unet_learns_lungs(unet_run):
    run = Run.open(unet_run)
    assert run.segments
    assert run.class_names == ("lung",)
    assert {"val_dice", "val_iou", "val_mean_iou", "val_loss"} <= set(run.history.columns)
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]


@pytest.mark.slow
def test_fine_tuning_freezes_the_backbone(classifier_run, phantoms, tiny_recipe, tmp_path):
    """From a run with other classes: the backbone is unchanged, and the head learns."""
    rows = read_manifest(phantoms).rows.drop(columns=["path", "mask_path"], errors="ignore")
    rows["label"] = rows["label"].where(rows["label"] == "normal", "pneumonia")
    write_manifest(rows, tmp_path / "two.csv")
    recipe = tiny_recipe(
        "seme_resnet50",
        classes=("normal", "pneumonia"),
        weights=str(classifier_run),
        freeze_backbone=True,
        learning_rate=0.01,
        epochs=1,
    )
    with pytest.warns(UserWarning, match="head starts with random weights"):
        run = train(recipe, tmp_path / "two.csv", tmp_path / "run", root=phantoms.parent)
    old = semenet.load_model(classifier_run)
    with pytest.warns(UserWarning, match="head starts"):
        untrained = build_network(recipe)
    for layer in run.model.layers:
        for mine, theirs in zip(layer.get_weights(), old.get_layer(layer.name).get_weights(), strict=True):
            if layer.name == "head":
                continue
            np.testing.assert_array_equal(mine, theirs)
    assert [weight.path for weight in untrained.trainable_weights] == ["head/kernel", "head/bias"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_and_restores_the_policy(phantoms, tiny_recipe, tmp_path, precision):
    recipe = tiny_recipe("seme_resnet50", precision=precision, epochs=1)
    run = train(recipe, phantoms, tmp_path / "run")
    assert run.model.get_layer("conv1_conv").compute_dtype == precision.removeprefix("mixed_")
    assert run.model.get_layer("head").compute_dtype == "float32"
    assert np.isfinite(run.history["loss"]).all()
    assert keras.config.dtype_policy().name == "float32"


def test_unreadable_files_are_left_out_and_listed_on_request(phantoms, tiny_recipe, tmp_path):
    rows = read_manifest(phantoms).rows.drop(columns=["mask", "mask_path"])
    rows["file"] = rows.pop("path")
    bad = rows.index[rows["split"] == "train"][3]
    rows.loc[bad, "file"] = str(tmp_path / "gone.png")
    write_manifest(rows, tmp_path / "manifest.csv")
    recipe = tiny_recipe("vgg19_gap", monitor="val_loss", epochs=1)
    with pytest.raises(ImageError, match="gone.png"):
        train(recipe, tmp_path / "manifest.csv", tmp_path / "strict")
    skip = DataOptions(on_error="skip", skip_at_most=0.1)
    run = train(recipe, tmp_path / "manifest.csv", tmp_path / "run", data=skip)
    (left_out,) = run.record["skipped"]
    assert left_out["split"] == "train"
    assert "gone.png" in left_out["reason"]
    with pytest.raises(ImageError, match="At most 1.0%"):
        train(
            recipe,
            tmp_path / "manifest.csv",
            tmp_path / "other",
            data=dataclasses.replace(skip, skip_at_most=0.01),
        )
    # The file is back, so a resumed run would differ from the one that was started.
    shutil.copy(rows["file"][0], tmp_path / "gone.png")
    with pytest.raises(RunFolderError, match="other files left out"):
        train(recipe, tmp_path / "manifest.csv", tmp_path / "run", data=skip)


def test_patients_in_two_splits_need_permission_and_are_recorded(phantoms, tiny_recipe, tmp_path):
    rows = read_manifest(phantoms).rows.drop(columns=["mask", "mask_path"])
    rows["file"] = rows.pop("path")
    patient = rows.loc[rows["split"] == "train", "patient"].iloc[0]
    rows.loc[rows.index[rows["split"] == "val"][0], "patient"] = patient
    write_manifest(rows, tmp_path / "manifest.csv")
    recipe = tiny_recipe("vgg19_gap", monitor="val_loss", epochs=1)
    with pytest.raises(ManifestError, match=patient):
        train(recipe, tmp_path / "manifest.csv", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    allowed = DataOptions(allow_patient_overlap=True)
    run = train(recipe, tmp_path / "manifest.csv", tmp_path / "run", data=allowed)
    assert run.record["patient_overlap"] == {patient: ["train", "val"]}


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cached_run_ends_with_the_same_weights(phantoms, tiny_recipe, tmp_path, cache):
    recipe = tiny_recipe("vgg19_gap", monitor="val_loss", clahe=0.4, rotation=10)
    folder = tmp_path / "cache" if cache == "disk" else None
    plain = train(recipe, phantoms, tmp_path / "plain")
    cached = train(recipe, phantoms, tmp_path / "cached", data=DataOptions(cache=cache, cache_folder=folder))
    pd.testing.assert_frame_equal(plain.history, cached.history)
