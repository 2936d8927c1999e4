import csv
import os
import pathlib

import numpy as np
import pandas as pd
import pytest

from semenet.data.sources.kermany import (
    SourceError,
    SourceWarning,
    draw_splits,
    kermany,
    kermany_name,
    kermany_parts,
)

FILES = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0383-0001.jpeg",
    "train/NORMAL/IM-0551-0001-0002.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_bacteria_2.jpeg",
    "train/PNEUMONIA/person7_virus_3.jpeg",
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
    "test/NORMAL/NORMAL2-IM-0035-0001.jpeg",
    "test/PNEUMONIA/person1_virus_6.jpeg",
    "test/PNEUMONIA/person1634_virus_2830_1.jpeg",
)


def unpacked(folder, files):
    for name in files:
        path = folder / "chest_xray" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_labels_patients_and_splits_come_from_the_names(tmp_path):
    unpacked(tmp_path, FILES)
    (tmp_path / "chest_xray/train/NORMAL/.DS_Store").touch()
    (tmp_path / "chest_xray/train/NORMAL/._IM-0115-0001.jpeg").touch()
    frame = kermany(tmp_path).set_index("file")
    assert frame.index.tolist() == sorted(f"chest_xray/{name}" for name in FILES)
    assert frame.loc[
        [f"chest_xray/{name}" for name in FILES], ["label", "patient", "split"]
    ].to_numpy().tolist() == [
        ["normal", "normal-IM-0115", "train"],
        ["normal", "normal-NORMAL2-IM-0383", "train"],
        ["normal", "normal-IM-0551", "train"],
        ["bacteria", "bacteria-person1", "train"],
        ["bacteria", "bacteria-person1", "train"],
        ["virus", "virus-person7", "train"],
        ["bacteria", "bacteria-person1946", "val"],
        ["normal", "normal-NORMAL2-IM-0035", "test"],
        ["virus", "virus-person1", "test"],
        ["virus", "virus-person1634", "test"],
    ]
    assert set(frame["source"]) == {"kermany"}
    assert set(frame["license"]) == {"CC BY 4.0"}


def test_a_patient_in_two_parts_goes_whole_into_the_later(tmp_path):
    straddling = (
        "train/PNEUMONIA/person1_virus_5.jpeg",
        "val/PNEUMONIA/person7_virus_9.jpeg",
        "val/NORMAL/NORMAL2-IM-0035-0002.jpeg",
    )
    with pytest.warns(SourceWarning, match="3 images of 3 patients"):
        frame = kermany(unpacked(tmp_path, FILES + straddling))
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    split = frame.groupby("patient")["split"].first()
    assert split["virus-person1"] == "test"
    assert split["virus-person7"] == "val"
    assert split["normal-NORMAL2-IM-0035"] == "test"
    assert split["bacteria-person1"] == "train"


def test_the_inner_folder_and_an_edition_without_val_are_read(tmp_path):
    unpacked(tmp_path, [name for name in FILES if not name.startswith("val")])
    frame = kermany(tmp_path / "chest_xray")
    assert "test/PNEUMONIA/person1_virus_6.jpeg" in frame["file"].tolist()
    assert set(frame["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize("name", ["train/NORMAL/scan7.jpeg", "train/NORMAL/person3_virus_4.jpeg"])
def test_files_of_other_names_are_refused_by_name(tmp_path, name):
    with pytest.raises(SourceError, match=name):
        kermany(unpacked(tmp_path, (*FILES, name)))


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(SourceError, match="chest_xray/train"):
        kermany(tmp_path)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    with pytest.raises(SourceError, match="there are none"):
        kermany(tmp_path)


def test_an_edition_without_val_gets_one_of_whole_training_patients(tmp_path):
    files = []
    for part, people in {"train": range(40), "test": range(50, 55)}.items():
        for person in people:
            files.append(f"{part}/NORMAL/IM-{person:04}-0001.jpeg")
            files += [f"{part}/PNEUMONIA/person{person}_virus_{number}.jpeg" for number in (1, 2)]
    unpacked(tmp_path, files)
    frame = kermany(tmp_path, val_share=0.25, seed=3)
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    patients = frame.drop_duplicates("patient").groupby(["label", "split"]).size()
    assert patients.to_dict() == {
        (label, split): count
        for label in ("normal", "virus")
        for split, count in {"test": 5, "train": 30, "val": 10}.items()
    }
    assert kermany(tmp_path, val_share=0.25, seed=3).equals(frame)
    assert not kermany(tmp_path, val_share=0.25, seed=4).equals(frame)


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_val_share_out_of_range_is_refused(tmp_path, share):
    with pytest.raises(ValueError, match="between 0 and 1. Received"):
        kermany(tmp_path, val_share=share)


def test_what_moves_between_parts_is_said(tmp_path):
    with pytest.warns(SourceWarning, match="1 images of 1 patients .* virus-person1"):
        kermany(unpacked(tmp_path, (*FILES, "train/PNEUMONIA/person1_virus_5.jpeg")))


def test_parts_are_read_without_a_draw(tmp_path):
    unpacked(tmp_path, [name for name in FILES if not name.startswith("val")])
    assert set(kermany_parts(tmp_path)["split"]) == {"train", "test"}


@pytest.mark.parametrize(
    ("stem", "told"),
    [
        ("person7_virus_3", ("virus", "virus-person7")),
        ("person1634_virus_2830_1", ("virus", "virus-person1634")),
        ("NORMAL2-IM-0035-0001", ("normal", "normal-NORMAL2-IM-0035")),
        ("1-s2.0-S0140673620303706-fx1_lrg", None),
    ],
)
def test_kermany_s_names_are_known_anywhere(stem, told):
    assert kermany_name(stem) == told


def people(**labels):
    """A frame of one image a patient: so many patients of each label."""
    rows = [(f"{label}{number}", label) for label, count in labels.items() for number in range(count)]
    return pd.DataFrame(rows, columns=["patient", "label"])


def test_rare_labels_share_a_stratum_of_a_drawn_split():
    frame = people(a=20, b=2, c=1)
    with pytest.warns(SourceWarning, match="fewer patients than splits.*: b, c"):
        split = draw_splits(frame, {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
    assert set(split[frame["label"] == "a"]) == {"train", "val", "test"}
    with pytest.warns(SourceWarning, match=": a, b"):
        assert len(set(draw_splits(people(a=2, b=2), {"train": 0.4, "val": 0.3, "test": 0.3}, 0))) == 3
    with pytest.warns(SourceWarning, match=": b"):
        assert len(set(draw_splits(people(a=3, b=1), {"train": 0.4, "val": 0.3, "test": 0.3}, 0))) == 3
    with pytest.warns(SourceWarning, match="2 patients are too few"):
        assert set(draw_splits(people(a=1, b=1), {"train": 0.4, "val": 0.3, "test": 0.3}, 0)) == {"train"}


@pytest.mark.filterwarnings("ignore::semenet.data.sources.kermany.SourceWarning")
def test_patients_of_several_labels_can_always_be_drawn():
    """Healthy on one day and ill on another, as in covid-chestxray-dataset, in any combination."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        frame = pd.DataFrame({"patient": rng.integers(0, 9, 16).astype(str), "label": rng.integers(0, 5, 16)})
        frame["label"] = "finding " + frame["label"].astype(str)
        split = draw_splits(frame, {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
        assert (split.groupby(frame["patient"]).nunique() == 1).all()
        assert set(split) == {"train", "val", "test"}


def test_labels_enough_for_all_splits_pass_without_a_word(recwarn):
    draw_splits(people(a=20, b=20), {"train": 0.7, "val": 0.15, "test": 0.15}, 0)
    assert not recwarn.list


@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_every_real_name_of_kermany_is_known():
    folder = pathlib.Path(os.environ["SEMENET_DATA"])
    with open(folder / "dataset1" / "manifest.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) > 5000
    for row in rows:
        assert kermany_name(pathlib.PurePosixPath(row["file"]).stem) == (row["label"], row["patient"])
