import csv
import os
import pathlib

import pytest

from semenet.data.sources.kermany import parse_kermany_name, read_kermany, read_kermany_parts
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning

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
    frame = read_kermany(tmp_path).set_index("file")
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


def test_a_patient_in_two_parts_is_moved_to_the_later_one(tmp_path):
    straddling = (
        "train/PNEUMONIA/person1_virus_5.jpeg",
        "val/PNEUMONIA/person7_virus_9.jpeg",
        "val/NORMAL/NORMAL2-IM-0035-0002.jpeg",
    )
    with pytest.warns(SourceWarning, match="3 images of 3 patients"):
        frame = read_kermany(unpacked(tmp_path, FILES + straddling))
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    split = frame.groupby("patient")["split"].first()
    assert split["virus-person1"] == "test"
    assert split["virus-person7"] == "val"
    assert split["normal-NORMAL2-IM-0035"] == "test"
    assert split["bacteria-person1"] == "train"


def test_the_inner_folder_and_an_edition_without_val_are_read(tmp_path):
    unpacked(tmp_path, [name for name in FILES if not name.startswith("val")])
    frame = read_kermany(tmp_path / "chest_xray")
    assert "test/PNEUMONIA/person1_virus_6.jpeg" in frame["file"].tolist()
    assert set(frame["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize("name", ["train/NORMAL/scan7.jpeg", "train/NORMAL/person3_virus_4.jpeg"])
def test_files_with_other_names_are_rejected_by_name(tmp_path, name):
    with pytest.raises(SourceError, match=name):
        read_kermany(unpacked(tmp_path, (*FILES, name)))


def test_other_folders_are_rejected(tmp_path):
    with pytest.raises(SourceNotFoundError, match="chest_xray/train"):
        read_kermany(tmp_path)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    with pytest.raises(SourceError, match="there are none"):
        read_kermany(tmp_path)


def test_whole_training_patients_become_val_if_the_edition_has_none(tmp_path):
    files = []
    for part, people in {"train": range(40), "test": range(50, 55)}.items():
        for person in people:
            files.append(f"{part}/NORMAL/IM-{person:04}-0001.jpeg")
            files += [f"{part}/PNEUMONIA/person{person}_virus_{number}.jpeg" for number in (1, 2)]
    unpacked(tmp_path, files)
    frame = read_kermany(tmp_path, val_share=0.25, seed=3)
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    patients = frame.drop_duplicates("patient").groupby(["label", "split"]).size()
    assert patients.to_dict() == {
        (label, split): count
        for label in ("normal", "virus")
        for split, count in {"test": 5, "train": 30, "val": 10}.items()
    }
    assert read_kermany(tmp_path, val_share=0.25, seed=3).equals(frame)
    assert not read_kermany(tmp_path, val_share=0.25, seed=4).equals(frame)


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_val_share_out_of_range_is_rejected(tmp_path, share):
    with pytest.raises(ValueError, match="between 0 and 1. Received"):
        read_kermany(tmp_path, val_share=share)


def test_a_warning_counts_the_moved_images(tmp_path):
    with pytest.warns(SourceWarning, match="1 images of 1 patients .* virus-person1"):
        read_kermany(unpacked(tmp_path, (*FILES, "train/PNEUMONIA/person1_virus_5.jpeg")))


def test_parts_are_read_without_a_draw(tmp_path):
    unpacked(tmp_path, [name for name in FILES if not name.startswith("val")])
    assert set(read_kermany_parts(tmp_path)["split"]) == {"train", "test"}


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("person7_virus_3", ("virus", "virus-person7")),
        ("person1634_virus_2830_1", ("virus", "virus-person1634")),
        ("NORMAL2-IM-0035-0001", ("normal", "normal-NORMAL2-IM-0035")),
        ("1-s2.0-S0140673620303706-fx1_lrg", None),
    ],
)
def test_kermany_s_names_are_parsed(stem, expected):
    assert parse_kermany_name(stem) == expected


@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_every_real_name_of_kermany_is_parsed():
    folder = pathlib.Path(os.environ["SEMENET_DATA"])
    with open(folder / "dataset1" / "manifest.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) > 5000
    for row in rows:
        assert parse_kermany_name(pathlib.PurePosixPath(row["file"]).stem) == (row["label"], row["patient"])
