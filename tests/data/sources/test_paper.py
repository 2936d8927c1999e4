import itertools
import os
import pathlib

import numpy as np
import pandas as pd
import pytest
from source_folders import covid_folder, kermany_folder, montgomery_folder, shenzhen_folder

from semenet.data.manifest.table import ManifestError, write_manifest
from semenet.data.sources.nlm_lungs import read_montgomery, read_shenzhen
from semenet.data.sources.paper import (
    PAPER_COUNTS,
    compare_counts,
    draw_dataset1,
    draw_dataset2,
    draw_lung_pairs,
    draw_patients,
)
from semenet.data.sources.source_rows import SourceError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def counts(frame):
    return frame.groupby(["split", "label"]).size().to_dict()


def patients_are_whole(frame):
    return (frame.groupby("patient")["split"].nunique() == 1).all()


def covid_of(folder, patients, images):
    rows = [
        (str(n), "Pneumonia/Viral/COVID-19", "PA", "X-ray", "images", f"covid{n}-{m}.png")
        for n in range(patients)
        for m in range(images)
    ]
    others = [("900", "Pneumonia/Viral/SARS", "PA", "X-ray", "images", "sars.png")]
    return covid_folder(folder, rows + others)


def kaggle_edition(folder):
    """Empty files with the counts of Kaggle's edition; bacterial patients have three images each."""
    plan = {
        "train": {"normal": 1341, "bacteria": 2530, "virus": 1345},
        "val": {"normal": 8, "bacteria": 8},
        "test": {"normal": 234, "bacteria": 242, "virus": 148},
    }
    number = itertools.count(1)
    for part, labels in plan.items():
        for label, total in labels.items():
            place = folder / part / ("NORMAL" if label == "normal" else "PNEUMONIA")
            place.mkdir(parents=True, exist_ok=True)
            for image in range(total):
                if image % (3 if label == "bacteria" else 1) == 0:
                    person = next(number)
                name = f"IM-{person:04}-0001" if label == "normal" else f"person{person}_{label}_{image}"
                (place / f"{name}.jpeg").touch()
    return folder


def test_the_paper_s_counts_as_printed():
    """The last row of table 1 has the sums of the columns."""
    sums = pd.DataFrame(PAPER_COUNTS["dataset1"]).sum(axis=1).to_dict()
    assert sums == {"normal": 1591, "bacteria": 2772, "virus": 1493}
    assert sum(sum(split.values()) for split in PAPER_COUNTS["lungs"].values()) == 1000


def test_kaggle_s_edition_makes_the_paper_s_dataset_1_with_two_names_swapped(tmp_path):
    frame = draw_dataset1(kaggle_edition(tmp_path))
    assert patients_are_whole(frame)
    assert counts(frame) == {
        ("train", "normal"): 1341,
        ("train", "bacteria"): 2530,
        ("train", "virus"): 1345,
        ("val", "normal"): 121,
        ("val", "bacteria"): 125,
        ("val", "virus"): 74,
        ("test", "normal"): 121,
        ("test", "bacteria"): 125,
        ("test", "virus"): 74,
    }
    covid = covid_of(tmp_path / "covid", 70, 3)
    assert counts(draw_dataset2(tmp_path, covid)) == {
        ("train", "other_viral"): 165,
        ("val", "other_viral"): 74,
        ("test", "other_viral"): 74,
        ("train", "COVID-19"): 105,
        # Patients have three images each: 9 is the closest sum to 10.
        ("val", "COVID-19"): 9,
        ("test", "COVID-19"): 9,
    }


def test_dataset_1_halves_the_held_out_images_by_patient(tmp_path):
    frame = draw_dataset1(kermany_folder(tmp_path), seed=3)
    assert patients_are_whole(frame)
    assert counts(frame) == {
        ("train", "normal"): 21,
        ("train", "bacteria"): 20,
        ("train", "virus"): 40,
        ("val", "normal"): 4,
        ("test", "normal"): 4,
        # 20 images of seven patients, six with three images and one with two: 9 and 11.
        ("val", "bacteria"): 9,
        ("test", "bacteria"): 11,
        ("val", "virus"): 4,
        ("test", "virus"): 4,
    }
    assert draw_dataset1(tmp_path, seed=3).equals(frame)
    assert not draw_dataset1(tmp_path, seed=4).equals(frame)
    table = compare_counts(frame, "dataset1")
    assert table.loc[("train", "virus")].tolist() == [40, 1345]
    assert table["reached"].sum() == len(frame)


def test_a_patient_in_kermany_s_train_and_test_is_held_out(tmp_path):
    kermany_folder(tmp_path)
    kermany_folder(tmp_path, ("train/PNEUMONIA/person1_virus_900.jpeg",))
    with pytest.warns(SourceWarning, match="virus-person1"):
        frame = draw_dataset1(tmp_path)
    assert patients_are_whole(frame)
    assert "train" not in set(frame.loc[frame["patient"] == "virus-person1", "split"])


def test_dataset_2_keeps_the_splits_of_dataset_1(tmp_path):
    kermany, covid = kermany_folder(tmp_path / "kermany"), covid_of(tmp_path / "covid", 50, 1)
    frame = draw_dataset2(kermany, covid, seed=5)
    assert patients_are_whole(frame)
    assert all(pathlib.Path(file).is_file() for file in frame["file"])
    split_in_1 = draw_dataset1(kermany, seed=5).set_index("patient")["split"].to_dict()
    viral = frame[frame["label"] == "other_viral"]
    assert (viral["patient"].map(split_in_1) == viral["split"]).all()
    # With 50 of 125 images, the paper's 105, 10 and 10 become 42, 4 and 4.
    assert {key: count for key, count in counts(frame).items() if key[1] == "COVID-19"} == {
        ("train", "COVID-19"): 42,
        ("val", "COVID-19"): 4,
        ("test", "COVID-19"): 4,
    }
    assert set(frame["label"]) == {"other_viral", "COVID-19"}
    assert draw_dataset2(kermany, covid, seed=5).equals(frame)
    assert not frame.isna().any(axis=None)


def test_dataset_2_has_the_paper_s_counts_or_all_images(tmp_path):
    kermany, covid = kermany_folder(tmp_path / "kermany"), covid_of(tmp_path / "covid", 100, 2)
    paper = counts(draw_dataset2(kermany, covid))
    assert [paper[split, "COVID-19"] for split in ("train", "val", "test")] in ([104, 10, 10], [106, 10, 10])
    everything = counts(draw_dataset2(kermany, covid, counts="all"))
    assert [everything[split, "COVID-19"] for split in ("train", "val", "test")] == [168, 16, 16]
    with pytest.raises(ValueError, match="Received: 'some'"):
        draw_dataset2(kermany, covid, counts="some")


def test_dataset_2_needs_both_classes(tmp_path):
    covid = covid_of(tmp_path / "covid", 5, 1)
    kermany = kermany_folder(tmp_path / "kermany", ("train/NORMAL/IM-1-1.jpeg", "test/NORMAL/IM-2-1.jpeg"))
    with pytest.raises(SourceError, match="viral images. Received: .*kermany"):
        draw_dataset2(kermany, covid)
    rows = [("900", "Pneumonia/Viral/SARS", "PA", "X-ray", "images", "sars.png")]
    with pytest.raises(SourceError, match="COVID-19"):
        draw_dataset2(kermany_folder(tmp_path / "viral"), covid_folder(tmp_path / "sars", rows))


def manifest_of_masks(path, patients, images):
    names = [f"{path.stem}-{n}-{m}" for n in range(patients) for m in range(images)]
    frame = pd.DataFrame(
        {"file": [f"{name}.png" for name in names], "mask": [f"m/{name}.png" for name in names]}
    )
    frame["patient"] = [name.rsplit("-", 1)[0] for name in names]
    write_manifest(frame.assign(split="train", label="normal", source=path.stem), path)
    return path


def test_lung_pairs_reach_the_paper_s_counts(tmp_path):
    paths = [manifest_of_masks(tmp_path / "a.csv", 300, 3), manifest_of_masks(tmp_path / "b.csv", 200, 1)]
    frame = draw_lung_pairs(paths)
    assert patients_are_whole(frame)
    assert frame["split"].value_counts().to_dict() == {"train": 900, "val": 50, "test": 50}
    assert set(frame["source"]) == {"a", "b"}
    assert frame["mask"].str.startswith(str(tmp_path)).all()
    assert draw_lung_pairs(paths).equals(frame)
    everything = draw_lung_pairs(paths, counts="all")
    assert everything["split"].value_counts().to_dict() == {"train": 990, "val": 55, "test": 55}
    assert compare_counts(frame, "lungs")["reached"].tolist() == [900, 50, 50]


def test_few_lung_pairs_keep_the_proportions(tmp_path):
    frame = draw_lung_pairs(manifest_of_masks(tmp_path / "a.csv", 100, 1))
    assert frame["split"].value_counts().to_dict() == {"train": 90, "val": 5, "test": 5}


def test_lung_pairs_of_montgomery_and_shenzhen(tmp_path):
    paths = []
    for name, frame in {
        "montgomery": read_montgomery(montgomery_folder(tmp_path / "m"), masks_out=tmp_path / "m" / "masks"),
        "shenzhen": read_shenzhen(
            shenzhen_folder(tmp_path / "s", tmp_path / "s" / "masks"), masks=tmp_path / "s" / "masks"
        ),
    }.items():
        paths.append(tmp_path / name[0] / "manifest.csv")
        write_manifest(frame, paths[-1])
    frame = draw_lung_pairs(paths)
    assert len(frame) == 17
    assert all(pathlib.Path(path).is_file() for path in [*frame["file"], *frame["mask"]])


def test_lung_pairs_reject_images_with_no_mask_or_two(tmp_path):
    path = manifest_of_masks(tmp_path / "a.csv", 5, 1)
    with pytest.raises(SourceError, match="one mask. Received: .*a-0-0.png"):
        draw_lung_pairs([path, path])
    with pytest.raises(SourceError, match="at least one manifest"):
        draw_lung_pairs([])
    write_manifest(pd.read_csv(path).drop(columns="mask"), path)
    with pytest.raises(ManifestError, match="Add mask"):
        draw_lung_pairs([path])


def test_patients_are_drawn_to_the_closest_sum():
    """Compared with all subsets."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        sizes = rng.integers(1, 9, 7)
        rows = pd.DataFrame({"patient": np.repeat([f"p{n}" for n in range(7)], sizes)})
        count = int(rng.integers(0, sizes.sum() + 3))
        drawn = draw_patients(rows, count, np.random.default_rng(1))
        sums = {sum(chosen) for many in range(8) for chosen in itertools.combinations(sizes.tolist(), many)}
        reached = int(rows["patient"].isin(drawn).sum())
        assert abs(reached - count) == min(abs(total - count) for total in sums)


def test_every_patient_can_be_drawn():
    rows = pd.DataFrame({"patient": [f"p{n}" for n in range(10)]})
    drawn = [draw_patients(rows, 3, np.random.default_rng(seed)) for seed in range(60)]
    assert all(len(each) == 3 for each in drawn)
    assert set.union(*drawn) == set(rows["patient"])
    shuffled = rows.sample(frac=1, random_state=0)
    assert draw_patients(shuffled, 3, np.random.default_rng(0)) == drawn[0]


@pytest.mark.skipif("SEMENET_DATA" not in os.environ, reason="SEMENET_DATA names no folder of radiographs")
def test_the_real_masks_reach_the_paper_s_counts():
    frame = draw_lung_pairs([pathlib.Path(os.environ["SEMENET_DATA"]) / "lung" / "manifest.csv"])
    assert frame["split"].value_counts().to_dict() == {"train": 900, "val": 50, "test": 50}
    assert patients_are_whole(frame)
