import hashlib
import inspect
import json

import cv2
import numpy as np
import pandas as pd
import pytest

from semenet.cli.data.manifest import data_check, data_contains, data_split
from semenet.data.checks.copies import find_image
from semenet.data.checks.duplicates import DEFAULT_SIMILARITY
from semenet.data.checks.manifest_check import check_manifest
from semenet.data.checks.shortcuts import origin_tables
from semenet.data.images.reading import read_image
from semenet.data.manifest.table import (
    ManifestError,
    patients_in_several_splits,
    read_manifest,
    write_manifest,
)
from semenet.errors import SemenetError


def drawn(seed, height=120, width=100):
    rng = np.random.default_rng(seed)
    detail = sum(
        cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), radius) * radius
        for radius in (2, 5, 9)
    )
    return np.clip(130 + 40 * detail, 1, 254).astype(np.uint8)


def write(path, image):
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), image)


def manifest_of(folder, rows, columns=("file", "label", "patient", "split")):
    path = folder / "m.csv"
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


@pytest.fixture
def clean(tmp_path):
    """Twelve different images of twelve patients, two labels and three splits, without any problem."""
    rows = []
    for index in range(12):
        file = f"i/{index}.png"
        write(tmp_path / file, drawn(index))
        split = ("train", "train", "val", "reserve")[index // 3]
        rows.append((file, ("normal", "virus")[index % 2], f"p{index}", split))
    return manifest_of(tmp_path, rows)


def changed(path, **columns):
    """Changes cells of the manifest: for each column, row numbers and their new values."""
    frame = pd.read_csv(path, dtype=str)
    for column, cells in columns.items():
        for row, value in cells.items():
            frame.loc[row, column] = value
    frame.to_csv(path, index=False)
    return path


def test_a_clean_data_set_passes(clean, capsys):
    report = check_manifest(read_manifest(clean))
    assert report["passed"]
    assert report["leaks"] == 0
    assert report["copies"] == []
    assert report["splits"] == {"reserve": 3, "train": 6, "val": 3}
    data_check(clean)
    output = capsys.readouterr().out
    assert output.splitlines()[-1].startswith("passed: 0 leaks")
    assert "Copies" not in output
    assert "Warning" not in output


def test_a_patient_in_two_splits_is_a_leak_for_any_split_name(clean, capsys):
    changed(clean, patient={11: "p0"})
    report = check_manifest(read_manifest(clean))
    assert report["patients_in_two_splits"] == {"p0": ["reserve", "train"]}
    assert report["leaks"] == 1
    with pytest.raises(SystemExit) as stopped:
        data_check(clean)
    assert stopped.value.code == 1
    output = capsys.readouterr().out
    assert "p0" in output
    assert "reserve, train" in output
    assert output.splitlines()[-1].startswith("failed: 1 leaks")
    data_check(clean, splits="train,val")


def test_identical_pixels_in_two_splits_are_a_leak_for_any_encoding(clean):
    contents = cv2.imencode(".png", drawn(0), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    (clean.parent / "i/8.png").write_bytes(contents)
    assert contents != (clean.parent / "i/0.png").read_bytes()
    (copy,) = check_manifest(read_manifest(clean))["copies"]
    assert (copy["kind"], copy["leak"], copy["disagree"]) == ("identical", True, ["patient"])
    assert [image["file"] for image in copy["images"]] == ["i/0.png", "i/8.png"]


def test_a_modified_copy_in_another_split_is_a_leak(clean, tmp_path, capsys):
    image = cv2.resize(drawn(1), (80, 96), interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(clean.parent / "i/7.png"), cv2.createCLAHE(2.0, (8, 8)).apply(image))
    changed(clean, patient={7: "p1b"})
    out = tmp_path / "new" / "report.json"
    with pytest.raises(SystemExit):
        data_check(clean, out=out)
    output = capsys.readouterr().out
    assert "Copies of an image in different splits" in output
    report = json.loads(out.read_text())
    (copy,) = report["copies"]
    assert (copy["kind"], copy["leak"]) == ("near", True)
    assert 0.9 <= copy["similarity"] < 1
    assert copy["images"][1] == {"file": "i/7.png", "label": "virus", "patient": "p1b", "split": "val"}
    assert check_manifest(read_manifest(clean), min_similarity=0.999)["passed"]


def test_copies_in_one_split_are_listed_only_if_patients_or_labels_differ(clean):
    for target, source in ((1, 0), (3, 2)):
        write(clean.parent / f"i/{target}.png", cv2.resize(drawn(source), (80, 96)))
    write(clean.parent / "i/5.png", drawn(4))
    # 0 and 1 are copies with two patients; 2 and 3, and 4 and 5, are copies of one patient.
    changed(clean, patient={3: "p2", 5: "p4"}, label={3: "normal", 5: "normal"})
    report = check_manifest(read_manifest(clean))
    assert report["passed"]
    (copy,) = report["copies"]
    assert copy["disagree"] == ["patient", "label"]
    assert [image["file"] for image in copy["images"]] == ["i/0.png", "i/1.png"]
    changed(clean, label={3: "virus", 5: "virus"})
    found = check_manifest(read_manifest(clean))["copies"]
    disagree = {copy["images"][0]["file"]: copy["disagree"] for copy in found}
    assert disagree == {"i/0.png": ["patient", "label"], "i/2.png": ["label"], "i/4.png": ["label"]}


def test_unreadable_files_are_listed_with_reasons_and_the_check_fails(clean, capsys):
    (clean.parent / "i/2.png").unlink()
    whole = (clean.parent / "i/3.png").read_bytes()
    (clean.parent / "i/3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit):
        data_check(clean)
    output = capsys.readouterr().out
    assert "2 files that cannot be used" in output
    report = check_manifest(read_manifest(clean))
    assert [found["file"] for found in report["unreadable"]] == ["i/2.png", "i/3.png"]
    assert "which does not" in report["unreadable"][0]["reason"]
    assert "i/3.png" in report["unreadable"][1]["reason"]
    assert report["content_sha256"] is None
    assert report["leaks"] == 0
    assert not report["passed"]


def test_classes_are_described_by_medians_of_their_images(tmp_path):
    image = np.zeros((40, 80), np.uint8)
    image[:, 20:60] = 100
    image[:, 60:] = 255
    write(tmp_path / "a.png", image)
    write(tmp_path / "b.png", np.full((64, 32), 7, np.uint8))
    path = manifest_of(tmp_path, [("a.png", "x", "p", "train"), ("b.png", "y", "q", "val")])
    classes = check_manifest(read_manifest(path))["classes"]
    # A quarter of the pixels is 0, half of them are 100, a quarter is 255.
    assert classes["x"]["mean"] == pytest.approx(113.75)
    assert classes["x"]["deviation"] == pytest.approx(np.sqrt((100**2 * 2 + 255**2) / 4 - 113.75**2))
    assert {key: classes["x"][key] for key in ("height", "width", "aspect", "black", "white")} == {
        "height": 40,
        "width": 80,
        "aspect": 2,
        "black": 0.25,
        "white": 0.25,
    }
    assert classes["y"] == {
        **{"images": 1, "patients": 1, "height": 64, "width": 32, "aspect": 0.5},
        **{"mean": 7, "deviation": 0, "black": 0, "white": 0},
    }


def test_masks_are_measured_and_must_have_the_size_of_their_image(tmp_path, capsys):
    inside = np.zeros((120, 100), np.uint8)
    inside[:60] = 255
    masks = [inside, inside * 0, inside[:50], inside]
    rows = []
    for index, mask in enumerate(masks):
        write(tmp_path / f"{index}.png", drawn(index))
        write(tmp_path / f"m{index}.png", mask)
        rows.append((f"{index}.png", f"m{index}.png", f"p{index}", "train"))
    write(tmp_path / "4.png", drawn(4))
    rows.append(("4.png", "", "p4", "val"))
    path = manifest_of(tmp_path, rows, ("file", "mask", "patient", "split"))
    (tmp_path / "m3.png").unlink()
    report = check_manifest(read_manifest(path, required=()))
    assert [found["file"] for found in report["unreadable"]] == ["m2.png", "m3.png"]
    assert "50 x 100 pixels" in report["unreadable"][0]["reason"]
    assert report["masks"]["without"] == 1
    assert report["masks"]["empty"] == ["m1.png"]
    assert report["masks"]["share"]["0.5"] == 0.5
    with pytest.raises(SystemExit):
        data_check(path)
    assert "Empty masks" in capsys.readouterr().out


def test_content_hash_depends_on_bytes_but_not_on_names_or_order(clean):
    def content():
        return check_manifest(read_manifest(clean))["content_sha256"]

    before = content()
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (clean.parent / "i").iterdir())
    assert before == hashlib.sha256("".join(f"{digest} \n" for digest in digests).encode()).hexdigest()
    (clean.parent / "i/0.png").rename(clean.parent / "i/renamed.png")
    frame = pd.read_csv(clean, dtype=str).replace({"i/0.png": "i/renamed.png"})
    frame.sample(frac=1, random_state=0).to_csv(clean, index=False)
    assert content() == before
    write(clean.parent / "i/renamed.png", drawn(99))
    assert content() != before


def origins(count, **columns):
    frame = pd.DataFrame({"file": [f"{index}.png" for index in range(count)], **columns})
    frame["patient"] = [f"p{index}" for index in range(count)]
    return {table["column"]: table for table in origin_tables(frame)}


def test_a_source_that_predicts_the_label_causes_a_warning(clean, capsys):
    label = ["a", "b"] * 50
    found = origins(100, label=label, source=label, view=["PA", "PA", "AP", "AP"] * 25)
    assert found["source"]["predicts_label"]
    assert found["source"]["balanced_accuracy"] == 1
    assert found["source"]["excess"] == 1
    assert found["source"]["counts"] == {"a": {"a": 50, "b": 0}, "b": {"a": 0, "b": 50}}
    assert not found["view"]["predicts_label"]
    assert found["view"]["balanced_accuracy"] == 0.5
    changed(clean, source={row: f"s{row % 2}" for row in range(12)})
    data_check(clean)
    assert "Warning: source predicts the label" in capsys.readouterr().out


def test_rare_sources_and_repeated_images_cause_no_warning():
    """One source per patient predicts any label, so that chance is measured; each patient counts once."""
    rng = np.random.default_rng(0)
    label = rng.choice(["a", "b"], 200)
    found = origins(200, label=label, source=[f"s{index}" for index in range(200)])["source"]
    assert found["balanced_accuracy"] == 1
    assert found["chance"] == 1
    assert not found["predicts_label"]
    frame = pd.DataFrame({"label": ["a", "b"] * 20, "source": ["x", "x", "y", "y"] * 10})
    frame["patient"] = [f"p{index}" for index in range(40)]
    often = pd.concat([frame, *[frame.iloc[:1]] * 200], ignore_index=True)
    often["file"] = [f"{index}.png" for index in range(len(often))]
    assert not origin_tables(often)[0]["predicts_label"]


def test_the_file_type_is_an_origin_and_a_single_value_is_not_measured(clean):
    (table,) = check_manifest(read_manifest(clean))["origins"]
    assert table["column"] == "file type"
    assert table["balanced_accuracy"] is None
    frame = pd.DataFrame({"label": ["a", "b"] * 20, "patient": [f"p{index}" for index in range(40)]})
    frame["file"] = [f"{index}.{('PNG', 'jpeg')[index % 2]}" for index in range(40)]
    (table,) = origin_tables(frame)
    assert list(table["counts"]) == [".jpg", ".png"]
    assert table["predicts_label"]


def test_invalid_arguments_are_rejected(clean):
    manifest = read_manifest(clean)
    with pytest.raises(SemenetError, match=r"\[0.5, 1\]"):
        check_manifest(manifest, min_similarity=0.1)
    with pytest.raises(ManifestError, match="'test'"):
        check_manifest(manifest, splits=("train", "test"))


def test_contains_finds_the_image_and_its_copies(clean, capsys):
    data_contains(clean, clean.parent / "i/0.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "yes"
    assert lines[1].split("\t") == [
        *("file=i/0.png", "label=normal", "patient=p0", "split=train"),
        *("kind=identical", "similarity=1.000"),
    ]
    assert len(lines) == 2
    copy = clean.parent / "copy.jpg"
    write(copy, cv2.resize(drawn(0), (300, 310)))
    data_contains(clean, copy)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "yes"
    assert "file=i/0.png" in lines[1]
    assert "kind=near" in lines[1]


def test_contains_prints_no_for_other_images_and_other_splits(clean, capsys):
    write(clean.parent / "other.png", drawn(77))
    data_contains(clean, clean.parent / "other.png")
    assert capsys.readouterr().out == "no\nsearched the split train\n"
    data_contains(clean, clean.parent / "i/7.png")
    assert capsys.readouterr().out == "no\nsearched the split train\n"
    for split in ("val", "all"):
        data_contains(clean, clean.parent / "i/7.png", split=split)
        assert capsys.readouterr().out.startswith("yes\nfile=i/7.png")


def test_contains_lists_all_identical_images_first(clean):
    for target in (1, 2):
        write(clean.parent / f"i/{target}.png", drawn(0))
    write(clean.parent / "i/3.png", cv2.resize(drawn(0), (90, 100)))
    matches = find_image(read_manifest(clean), read_image(clean.parent / "i/0.png"))
    found = [(match["file"], match["kind"]) for match in matches]
    assert found == [*((f"i/{index}.png", "identical") for index in range(3)), ("i/3.png", "near")]


def test_contains_is_an_error_if_an_image_is_unreadable(clean):
    (clean.parent / "i/4.png").write_bytes(b"no image")
    with pytest.raises(ManifestError, match=r"Received: 1 unreadable, first: .*4\.png"):
        data_contains(clean, clean.parent / "i/0.png")


@pytest.fixture
def unsplit(tmp_path):
    (tmp_path / "set").mkdir()
    rows = [(f"i/{index}.png", "ab"[index % 2], f"p{index // 2}", str(index)) for index in range(80)]
    rows[3] = ("/elsewhere/3.png", *rows[3][1:])
    return manifest_of(tmp_path / "set", rows, ("file", "label", "patient", "age"))


def test_split_writes_a_manifest_of_the_same_files(unsplit, tmp_path, capsys):
    out = tmp_path / "splits" / "m.csv"
    out.parent.mkdir()
    data_split(unsplit, out, shares="train=0.5, val=0.5", seed=3)
    before = read_manifest(unsplit, require_split=False).rows
    after = read_manifest(out).rows
    assert after["path"].tolist() == before["path"].tolist()
    assert after["file"].tolist()[2:4] == ["../set/i/2.png", "/elsewhere/3.png"]
    assert after["age"].tolist() == before["age"].tolist()
    assert patients_in_several_splits(after).empty
    assert after["split"].value_counts().to_dict() == {"train": 40, "val": 40}
    output = capsys.readouterr().out.splitlines()
    assert output == ["train: 40 images of 20 patients", "val: 40 images of 20 patients", str(out)]


def test_split_adds_splits_to_a_manifest_but_does_not_replace_them(unsplit):
    data_split(unsplit, unsplit)
    once = unsplit.read_text()
    assert read_manifest(unsplit).rows["file"][0] == "i/0.png"
    with pytest.raises(SemenetError, match="the manifest itself"):
        data_split(unsplit, unsplit, seed=1)
    assert unsplit.read_text() == once


def test_split_keeps_the_given_splits(unsplit):
    data_split(unsplit, unsplit)
    out = unsplit.parent / "again.csv"
    data_split(unsplit, out, seed=5, keep="test")
    before, after = read_manifest(unsplit).rows, read_manifest(out).rows
    assert ((before["split"] == "test") == (after["split"] == "test")).all()
    assert (before["split"] != after["split"]).any()


@pytest.mark.parametrize("shares", ["", "train", "train=x", "train=0.5,train=0.5", "=1"])
def test_invalid_shares_are_rejected(unsplit, shares):
    with pytest.raises(SemenetError, match="NAME=NUMBER"):
        data_split(unsplit, unsplit.parent / "out.csv", shares=shares)


def test_paths_of_masks_are_adapted_to_another_folder(unsplit, tmp_path):
    frame = pd.read_csv(unsplit, dtype=str).assign(mask="m/0.png")
    frame.loc[5, "mask"] = ""
    frame.to_csv(unsplit, index=False)
    data_split(unsplit, tmp_path / "m.csv")
    rows = read_manifest(tmp_path / "m.csv").rows
    assert rows["mask_path"][0] == str(unsplit.parent / "m/0.png")
    assert rows["mask"][5] == ""
    write_manifest(rows, tmp_path / "copy.csv")


def test_the_commands_default_to_the_measured_similarity():
    for command in (data_check, data_contains):
        assert inspect.signature(command).parameters["near"].default == DEFAULT_SIMILARITY


def test_a_copy_of_16_bits_is_identical(clean, capsys):
    copy = clean.parent / "deep.png"
    write(copy, read_image(clean.parent / "i/0.png").astype(np.uint16) * 257)
    data_contains(clean, copy)
    assert "kind=identical" in capsys.readouterr().out
