"""The audit of networks with a known verdict, and on phantoms with and without a planted letter."""

import json
import os
import re

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from semenet.cli.main import main
from semenet.data.manifest.table import ManifestError
from semenet.errors import SemenetError
from semenet.evaluation.shortcut_audit.classifier_audit import audit
from semenet.evaluation.shortcut_audit.saved_audit import read_audit
from semenet.models.layers.heads import ClassifierHead, SegmentationHead

SIDE = 64
CLASSES = ("normal", "bacteria", "virus")
LEVELS = (60, 120, 180)
# Both lungs and the narrow strip between them, which the masks leave out.
LUNGS = (slice(20, 56), slice(12, 52))
BETWEEN = slice(31, 33)


def reader(region, kernel=(0, 1, 2), lungs_alone=False):
    """Returns a network that predicts the class from a region's brightness: normal dark, virus bright."""
    rows, columns = region
    crop = ((rows.start, SIDE - rows.stop), (columns.start, SIDE - columns.stop))
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Cropping2D(crop)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avg_pool")(x)
    head = ClassifierHead(CLASSES, lungs_alone=lungs_alone, activation="softmax", name="head")
    model = keras.Model(image, head(x))
    # The lines 40 k x - b_k cross halfway between the levels.
    model.get_layer("head").set_weights([np.float32([kernel]) * 40, np.float32([0, -14.1, -37.6])])
    return model


def write_data(folder, *, inside, corner=None, letter=None, splits=("val", "train"), count=180):
    """Writes images of three classes in turn, two of each patient, in each split.

    `inside`, `corner` and `letter` give, from an image's class and a random one, which class's level or
    letter stands there; None for noise, or no letter.
    """
    rng = np.random.default_rng(0)
    rows = []
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[LUNGS] = 255
    mask[:, BETWEEN] = 0
    cv2.imwrite(str(folder / "mask.png"), mask)
    for split in splits:
        for number in range(count):
            own, other = number // 2 % 3, int(rng.integers(3))
            image = rng.normal(90, 4, (SIDE, SIDE))
            image[LUNGS] = rng.normal(LEVELS[inside(own, other)], 4, image[LUNGS].shape)
            if corner:
                image[:12, :12] = rng.normal(LEVELS[corner(own, other)], 4, (12, 12))
            image = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
            if letter:
                image = cv2.resize(image, (256, 256), interpolation=cv2.INTER_CUBIC)
                text = "NBV"[letter(own, other)]
                cv2.putText(image, text, (200, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2, cv2.LINE_AA)
                image = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
            name = f"{split}{number:03}.png"
            cv2.imwrite(str(folder / name), image)
            rows.append((name, CLASSES[own], f"{split}-{number // 2}", split, f"m{name}"))
            cv2.imwrite(
                str(folder / f"m{name}"), cv2.resize(mask, image.shape[::-1], interpolation=cv2.INTER_NEAREST)
            )
    frame = pd.DataFrame(rows, columns=["file", "label", "patient", "split", "mask"])
    frame.to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def own(own, other):
    return own


def other(own, other):
    return other


def run_audit(folder, model, manifest, **arguments):
    model.save(folder / "model.keras")
    return audit(folder / "model.keras", manifest, out=folder / "audit", resamples=500, **arguments)


def test_a_network_that_reads_the_corner_is_a_shortcut(tmp_path):
    manifest = write_data(tmp_path, inside=other, corner=own)
    found = run_audit(tmp_path, reader((slice(0, 12), slice(0, 12))), manifest)
    assert found["verdict"] == "shortcut"
    assert found["evidence"]["decisions_without_lungs"]["macro_auroc"] == 1
    assert found["evidence"]["features_without_lungs"]["macro_auroc"] == 1
    # The corner is an area, not a letter.
    assert found["evidence"]["marks"]["images_with_marks"] < 0.2
    assert found["views"]["lungs_alone"]["accuracy"] == pytest.approx(1 / 3)
    assert found["views"]["without_corners"]["changed"] > 0.3
    assert found["views"]["without_corners"]["difference"] < -0.1
    assert found["fitted_to"] == {"split": "train", "images": 180}
    written = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert written == found
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "Verdict: shortcut." in page
    assert found["words"][0] in page
    assert not re.search(r"\d%", page.split("</style>")[1])


def test_a_network_that_reads_the_lungs_is_clean(tmp_path):
    manifest = write_data(tmp_path, inside=own, corner=other)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == "clean"
    assert found["learnt"]["macro_auroc"] == 1
    assert all(piece["interval"][1] < 0.7 for piece in found["evidence"].values())
    assert found["views"]["lungs_alone"]["accuracy"] == 1
    assert found["views"]["without_lungs"]["accuracy"] == pytest.approx(1 / 3)
    assert found["views"]["without_border"]["changed"] == 0


def test_letters_that_match_the_class_are_a_shortcut_even_if_ignored_by_the_network(tmp_path):
    manifest = write_data(tmp_path, inside=own, letter=own)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == "shortcut"
    assert found["evidence"]["marks"]["macro_auroc"] > 0.95
    assert found["evidence"]["decisions_without_lungs"]["interval"][1] < 0.7
    assert "can be read from the images" in found["words"][0]


def test_random_letters_are_clean(tmp_path):
    manifest = write_data(tmp_path, inside=own, letter=other)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == "clean"
    assert found["evidence"]["marks"]["images_with_marks"] > 0.9


def test_a_network_that_has_not_learnt_is_undecided(tmp_path):
    manifest = write_data(tmp_path, inside=own, letter=own)
    found = run_audit(tmp_path, reader(LUNGS, kernel=(0, 0, 0)), manifest)
    assert found["verdict"] == "undecided"
    assert found["learnt"]["macro_auroc"] == pytest.approx(0.5, abs=0.01)


def test_columns_that_name_the_shortcut_do_not_affect_the_verdict(tmp_path):
    manifest = write_data(tmp_path, inside=own, corner=other)
    without = run_audit(tmp_path, reader(LUNGS), manifest)
    frame = pd.read_csv(manifest)
    marker = frame["label"].str[0].str.upper()
    frame.assign(marker=marker, lesion_mask="nowhere.png", source=marker).to_csv(manifest, index=False)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == without["verdict"] == "clean"
    assert found["evidence"] == without["evidence"]
    assert without["origins"] == {}
    assert found["origins"]["source"]["label"]["balanced_accuracy"] == 1
    assert found["origins"]["marker"]["network"]["balanced_accuracy"] > 0.9
    assert found["origins"]["marker"]["values"] == {"N": 60, "B": 60, "V": 60}


def test_without_patients_to_fit_to_the_split_is_cross_validated(tmp_path):
    manifest = write_data(tmp_path, inside=other, corner=own, splits=("val",))
    found = run_audit(tmp_path, reader((slice(0, 12), slice(0, 12))), manifest)
    assert found["fitted_to"] == {"folds_of": "val"}
    assert found["evidence"]["features_without_lungs"]["interval"][0] > 0.8
    assert found["verdict"] == "shortcut"


def test_evaluated_patients_are_not_fitted_to(tmp_path):
    manifest = write_data(tmp_path, inside=own)
    frame = pd.read_csv(manifest)
    frame.loc[frame["split"] == "train", "patient"] = frame.loc[frame["split"] == "val", "patient"].to_numpy()
    frame.to_csv(manifest, index=False)
    assert run_audit(tmp_path, reader(LUNGS), manifest)["fitted_to"] == {"folds_of": "val"}


def test_a_network_that_takes_lungs_alone_is_tested_on_their_outline(tmp_path):
    manifest = write_data(tmp_path, inside=own, letter=own)
    found = run_audit(tmp_path, reader(LUNGS, lungs_alone=True), manifest)
    assert found["fed"] == "lungs alone"
    assert set(found["evidence"]) == {"decisions_on_outlines", "features_of_outlines"}
    assert set(found["views"]) == {"as_fed", "without_lungs"}
    # Every image has the same outline.
    assert found["evidence"]["decisions_on_outlines"]["macro_auroc"] == 0.5
    assert found["verdict"] == "clean"


def test_masks_from_a_unet(tmp_path):
    """The U-Net finds pixels that are brighter than the rest; the manifest has no masks."""
    manifest = write_data(tmp_path, inside=lambda own, other: 2, corner=own)
    pd.read_csv(manifest).drop(columns="mask").to_csv(manifest, index=False)
    model = reader((slice(0, 12), slice(0, 12)))
    with pytest.raises(SemenetError, match=r"needs a lung mask.*180 of 180 images without a mask.*--lungs"):
        run_audit(tmp_path, model, manifest)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.AveragePooling2D(9, 1, padding="same")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Identity(name="features")(x)
    finder = keras.Model(image, SegmentationHead(("lung",), activation="sigmoid", name="head")(x))
    finder.get_layer("head").set_weights([np.float32([[[[99]]]]), np.float32([-60])])
    finder.save(tmp_path / "unet.keras")
    found = run_audit(tmp_path, model, manifest, lungs=tmp_path / "unet.keras")
    assert found["masks"] == f"masks by the U-Net {tmp_path / 'unet.keras'}"
    assert f"--lungs {tmp_path / 'unet.keras'}" in found["command"]
    # The lungs and the bright corner of virus images are blacked out; only bacteria corners stay bright.
    assert found["views"]["without_lungs"]["auroc"]["bacteria"] == 1
    assert found["views"]["without_lungs"]["auroc"]["normal"] == 0.5


def test_unusable_networks_and_audits_are_refused(tmp_path, unet_run, phantoms):
    with pytest.raises(SemenetError, match="Only a classifier can be audited"):
        audit(unet_run, phantoms, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SemenetError, match=r"audit.json that `semenet audit` writes.*No such file"):
        read_audit(tmp_path, "1", "2")
    for broken in ('{"model_', "[]", '{"model_sha256": "1", "manifest_sha256": "2"}'):
        (tmp_path / "audit.json").write_text(broken)
        with pytest.raises(SemenetError, match=r"audit\.json: .*Audit the network again"):
            read_audit(tmp_path, "1", "2")


def test_a_full_disk_keeps_the_last_audit(tmp_path, monkeypatch):
    manifest = write_data(tmp_path, inside=own, splits=("val",), count=30)
    run_audit(tmp_path, reader(LUNGS), manifest)
    before = {path.name: path.read_bytes() for path in (tmp_path / "audit").iterdir()}
    written = []

    def sync(number, own=os.fsync):
        written.append(number)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        own(number)

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OSError, match=r"No space left on device.*audit\.json"):
        run_audit(tmp_path, reader(LUNGS), manifest, seed=1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "audit").iterdir()} == before


def test_an_audit_belongs_to_one_network_and_one_manifest(tmp_path):
    manifest = write_data(tmp_path, inside=own)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    mine = found["model_sha256"], found["manifest_sha256"]
    assert read_audit(tmp_path / "audit", *mine) == found
    with pytest.raises(SemenetError, match="of another network. Audit this network"):
        read_audit(tmp_path / "audit", "0", mine[1])
    with pytest.raises(SemenetError, match="of another manifest. Audit this network"):
        read_audit(tmp_path / "audit", mine[0], "0")


@pytest.mark.parametrize(("level", "share"), [(0, 0.0), (255, 1.0)])
def test_implausible_masks_are_undecided(level, share, tmp_path):
    """Empty masks remove nothing and full masks everything: both would lead to a wrong verdict."""
    manifest = write_data(tmp_path, inside=own, letter=own)
    for mask in tmp_path.glob("m*.png"):
        cv2.imwrite(str(mask), np.full((128, 128), level, np.uint8))
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == "undecided"
    assert "100 % of the lung masks are implausible" in found["words"][0]
    assert found["lungs"] == {"implausible": 180, "least": share, "median": share, "most": share}


def test_a_predictable_rare_class_is_a_shortcut(tmp_path):
    """The corner predicts only the class virus."""
    manifest = write_data(tmp_path, inside=own, corner=lambda own, other: own if own == 2 else other % 2)
    found = run_audit(tmp_path, reader((slice(0, 12), slice(0, 12))), manifest)
    assert found["evidence"]["decisions_without_lungs"]["classes"]["virus"][0] == 1
    assert found["verdict"] == "shortcut"


@pytest.mark.slow
@pytest.mark.parametrize(("correlation", "verdict"), [(1.0, "shortcut"), (0.0, "clean")])
def test_commands_on_phantoms_with_and_without_a_shortcut(correlation, verdict, tmp_path, capsys):
    manifest = tmp_path / "phantoms" / "manifest.csv"
    run = tmp_path / "run"
    for command in (
        f"phantom {manifest.parent} --count 600 --size 96 --seed 7 --marker-correlation {correlation}",
        f"train seme_resnet50 --manifest {manifest} --out {run} --input-size 96 --width 0.25 --depth 0.34 "
        "--epochs 7 --learning-rate 0.03 --schedule cosine --cache memory --no-tensorboard",
        f"audit {run} --manifest {manifest} --out {tmp_path / 'audit'}",
    ):
        main(command.split())
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert found["learnt"]["macro_auroc"] > 0.85
    assert found["verdict"] == verdict
    assert f"{verdict}: " in capsys.readouterr().out


def filter_val(manifest, is_kept):
    """Keeps the rows of the split val whose labels `is_kept` selects, and all of the split train."""
    frame = pd.read_csv(manifest)
    frame[(frame["split"] == "train") | is_kept(frame["label"])].to_csv(manifest, index=False)


@pytest.mark.parametrize("splits", [("val", "train"), ("val",)])
def test_one_class_alone_is_undecided(splits, tmp_path):
    manifest = write_data(tmp_path, inside=own, splits=splits, count=60)
    filter_val(manifest, lambda label: label == "virus")
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == "undecided"
    assert "the network's macro AUROC is undefined on them" in found["words"][0]
    assert (
        "The effect of the corners on the network's decisions is undefined on these images." in found["words"]
    )
    assert found["views"]["as_fed"]["accuracy"] == 1
    assert found["learnt"] == {"macro_auroc": None, "interval": None, "classes": dict.fromkeys(CLASSES)}
    assert "Verdict: undecided." in (tmp_path / "audit" / "audit.html").read_text()


def test_a_class_missing_from_the_split_is_left_out_of_the_mean(tmp_path):
    manifest = write_data(tmp_path, inside=own, count=120)
    filter_val(manifest, lambda label: label != "virus")
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["learnt"]["macro_auroc"] == 1
    assert found["views"]["as_fed"]["auroc"]["virus"] is None
    assert found["verdict"] in ("clean", "undecided")


def test_one_class_to_fit_to_is_undecided(tmp_path):
    """Without classes to fit to, it is unknown whether the features predict the label."""
    manifest = write_data(tmp_path, inside=own, count=60)
    frame = pd.read_csv(manifest)
    frame[(frame["split"] == "val") | (frame["label"] == "normal")].to_csv(manifest, index=False)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    untold = {"macro_auroc": None, "interval": None, "classes": dict.fromkeys(CLASSES)}
    assert found["evidence"]["features_without_lungs"] == untold
    assert found["verdict"] == "undecided"
    assert "undefined" in found["words"][0]


def test_one_patient_alone_is_undecided(tmp_path):
    manifest = write_data(tmp_path, inside=own, splits=("val",), count=30)
    pd.read_csv(manifest).assign(patient="p").to_csv(manifest, index=False)
    found = run_audit(tmp_path, reader(LUNGS), manifest)
    assert found["verdict"] == "undecided"
    assert "a class has only 1 patients" in found["words"][0]


@pytest.mark.parametrize("place", ["features", "head"])
def test_a_diverged_network_is_refused(place, tmp_path):
    manifest = write_data(tmp_path, inside=own, count=6)
    model = reader(LUNGS, kernel=(np.nan, 0, 0) if place == "head" else (0, 1, 2))
    if place == "features":
        features = keras.layers.Rescaling(3e38, name="features")(model.layers[0].output)
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(features)
        model = keras.Model(model.inputs, model.get_layer("head")(x))
    with pytest.raises(SemenetError, match=r"\d+ NaN among 18 values"):
        run_audit(tmp_path, model, manifest)
    assert not list((tmp_path / "audit").glob("*"))


@pytest.mark.parametrize("split", ["", "nowhere"])
def test_a_missing_split_is_named(split, tmp_path):
    manifest = write_data(tmp_path, inside=own, splits=("val",), count=6)
    with pytest.raises(ManifestError, match=rf"Received: '{split}'. There are: val \(6 rows\)"):
        run_audit(tmp_path, reader(LUNGS), manifest, split=split)
