import csv

import pytest


@pytest.fixture
def folders(tmp_path):
    """A folder of hospitals with two images each, and one of masks."""
    data, masks = tmp_path / "data", tmp_path / "masks"
    masks.mkdir()
    labels = {
        "dataset1": ["normal", "virus"],
        "dataset1_hires": ["normal", "bacteria"],
        "nih": ["pneumonia", "normal"],
        "hannover": ["COVID-19"] * 2,
        "articles": ["COVID-19"] * 2,
        "dataset2": ["COVID-19", "other_viral"],
    }
    for name, (first, second) in labels.items():
        rows = [["a.png", first, f"{name}1", "train", name], ["b.png", second, f"{name}2", "val", name]]
        write(data / name / "manifest.csv", ["file", "label", "patient", "split", "source"], rows)
        found = [[data / name / file, masks / f"{name}_{file}"] for file in ("a.png", "b.png")]
        write(masks / f"{name}.csv", ["file", "mask"], found)
    findings = [["a.png", "No Finding", "f1", "train", "dataset2", "other"]]
    columns = ["file", "finding", "patient", "split", "source", "label"]
    write(data / "dataset2" / "other_findings.csv", columns, findings)
    return data, masks


def write(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def test_manifests(folders, tool, tmp_path):
    script = tool("domains/hospital_manifests")
    script.main(*folders, tmp_path / "out")
    stage1 = script.read_rows(tmp_path / "out" / "stage1.csv")
    stage2 = script.read_rows(tmp_path / "out" / "stage2.csv")
    assert [(row["source"], row["label"]) for row in stage1] == [
        ("dataset1", "normal"),
        ("dataset1", "virus"),
        ("nih", "bacteria|virus"),
        ("nih", "normal"),
        ("hannover", "virus"),
        ("hannover", "virus"),
        ("articles", "virus"),
        ("articles", "virus"),
        ("dataset2", "virus"),
        ("dataset2", "normal"),
    ]
    assert {(row["source"], row["label"]) for row in stage2} == {
        ("dataset1_hires", "other_pneumonia"),
        ("nih", "other_pneumonia"),
        ("hannover", "COVID-19"),
        ("articles", "COVID-19"),
        ("dataset2", "COVID-19"),
        ("dataset2", "other_pneumonia"),
    }
    sources = script.read_rows(tmp_path / "out" / "sources.csv")
    assert [(row["source"], row["label"]) for row in sources if row["source"] != "dataset1"] == [
        ("nih", "pneumonia"),
        ("nih", "normal"),
        ("dataset2", "normal"),
        *[(name, "COVID-19") for name in ("hannover", "hannover", "articles", "articles", "dataset2")],
    ]
    # Patients that were held back are the test; a mask lies beside each image.
    assert {row["split"] == "test" for row in stage1 if row["file"].endswith("b.png")} == {True}
    assert {row["split"] in ("train", "val") for row in stage1 if row["file"].endswith("a.png")} == {True}
    assert all(row["mask"].endswith(f"{row['source']}_{row['file'][-5:]}") for row in stage1)


def test_a_tenth_of_the_patients_is_for_choosing(tool):
    split_of = tool("domains/hospital_manifests").split_of
    splits = [split_of({"split": "train", "source": "nih", "patient": str(number)}) for number in range(2000)]
    assert 160 < splits.count("val") < 240
    assert splits.count("train") == 2000 - splits.count("val")


def test_the_manifest_of_the_sources_has_a_quarter_of_the_children(tool, tmp_path):
    script = tool("domains/hospital_manifests")
    rows = [[f"{number}.png", "virus", str(number), "train", "kermany"] for number in range(400)]
    write(tmp_path / "dataset1" / "manifest.csv", ["file", "label", "patient", "split", "source"], rows)
    for name in (
        "nih/manifest",
        "dataset2/other_findings",
        *(f"{name}/manifest" for name in script.COVID_FOLDERS),
    ):
        columns = ["file", "label", "finding", "patient", "split", "source"]
        write(tmp_path / f"{name}.csv", columns, [])
    masks = {(tmp_path / "dataset1" / row[0]).resolve(): "mask.png" for row in rows}
    found = list(script.sources(tmp_path, masks))
    assert {row["label"] for row in found} == {"pneumonia"}
    assert 70 < len(found) < 130
