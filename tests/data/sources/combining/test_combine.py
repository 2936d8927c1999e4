import os
import shutil

import pandas as pd
import pytest
from source_folders import draw

from semenet.cli.main import main
from semenet.data.images.errors import MissingImageError
from semenet.data.manifest.csv_file import ManifestError
from semenet.data.manifest.table import read_manifest, write_manifest
from semenet.data.pipeline.sharding import write_shards
from semenet.data.sources.combining.combine import combine_manifests, count_labels


def write(folder, rows, columns=("file", "label", "patient", "split")):
    """Writes images and their manifest.csv."""
    frame = pd.DataFrame(rows, columns=columns)
    for file in frame["file"]:
        if not (folder / file).exists():
            draw(folder / file)
    write_manifest(frame, folder / "manifest.csv")
    return folder / "manifest.csv"


@pytest.fixture
def children(tmp_path):
    rows = [
        ("images/a.png", "normal", "c1", "train"),
        ("images/b.png", "bacteria", "c2", "train"),
        ("images/c.png", "virus", "c3", "val"),
        ("images/d.png", "virus", "c3", "reserve"),
    ]
    return write(tmp_path / "children", rows)


@pytest.fixture
def adults(tmp_path):
    rows = [
        ("x.png", "normal", "n1", "train", "M", "clinic"),
        ("y.png", "pneumonia", "n2", "val", "F", ""),
    ]
    return write(tmp_path / "other" / "adults", rows, ("file", "label", "patient", "split", "sex", "source"))


def test_rows_keep_order_splits_and_columns(children, adults, tmp_path):
    out = tmp_path / "new" / "all.csv"
    combined = combine_manifests([children, adults], out)
    rows = combined.rows
    assert rows["label"].tolist() == ["normal", "bacteria", "virus", "virus", "normal", "pneumonia"]
    assert rows["split"].tolist() == ["train", "train", "val", "reserve", "train", "val"]
    assert rows["source"].tolist() == ["children"] * 4 + ["clinic", "adults"]
    assert rows["sex"].tolist() == ["", "", "", "", "M", "F"]
    assert rows["file"].tolist()[::4] == ["../children/images/a.png", "../other/adults/x.png"]
    assert rows["path"].tolist()[::4] == [
        str(children.parent / "images" / "a.png"),
        str(adults.parent / "x.png"),
    ]
    assert "manifest" not in rows


def test_labels_are_mapped_for_all_manifests_or_for_one(children, adults, tmp_path):
    labels = {
        "virus": "viral",
        "adults:pneumonia": "bacteria|viral",
        "normal": "healthy",
        "adults:normal": "",
    }
    rows = combine_manifests([children, adults], tmp_path / "m.csv", labels=labels, drop=["bacteria"]).rows
    assert rows["label"].tolist() == ["healthy", "viral", "viral", "bacteria|viral"]


def test_the_classes_of_a_partial_label_are_mapped_one_by_one(tmp_path):
    rows = [(f"{n}.png", label, f"p{n}", "train") for n, label in enumerate(["a|b", "a|c", "b|d", "a"])]
    path = write(tmp_path / "set", rows)
    labels = {"a": "b", "a|c": "whole", "d": "x|b"}
    mapped = combine_manifests([path], tmp_path / "m.csv", labels=labels).rows["label"].tolist()
    assert mapped == ["b", "whole", "b|x", "b"]
    dropped = combine_manifests([path], tmp_path / "m.csv", drop=["d"]).rows["label"].tolist()
    assert dropped == ["a|b", "a|c", "a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"viurs": "x"}}, "--map must name labels.*'viurs'. Did you mean 'virus'?"),
        ({"labels": {"adults:virus": "x"}}, "'adults:virus'. .*adults: normal, pneumonia"),
        ({"labels": {"adlts:pneumonia": "x"}}, "Did you mean 'adults:pneumonia'"),
        ({"drop": ["Normal"]}, "--drop must name labels.*Did you mean 'normal'"),
        ({"labels": {"virus": "a|a"}}, "separated by '|'.*'a|a' for 'virus'"),
        ({"labels": {"virus": "a|"}}, "Received: 'a|'"),
        ({"labels": {"virus": "x"}, "drop": ["virus"]}, "in both --map and --drop"),
        ({"classes": ["normal", "bacteria", "viral"]}, "'pneumonia' in 1 rows"),
        ({"classes": ["normal", "bacteria", "viruss", "pneumonia"]}, "Did you mean 'viruss'"),
        ({"rename": {"sx": "gender"}}, "--rename must name columns.*Did you mean 'sex'"),
        ({"rename": {"adults:sex": "label"}}, "must get a new name"),
        ({"rename": {"patient": "person"}}, "columns with paths keep theirs"),
        ({"add": {"adults:sex": "M"}}, "missing or empty. Received: sex=M for adults.*'F'"),
        ({"add": {"file": "x"}}, "--add adds a column other than file"),
        ({"add": {"adlts:unit": "x"}}, "'adlts:unit'.*the name of a manifest"),
        ({"drop": ["normal", "bacteria", "virus", "pneumonia"]}, "every row is dropped"),
        ({"patients": "sharde"}, "Received: 'sharde'"),
    ],
)
def test_wrong_changes_are_rejected_and_write_nothing(children, adults, tmp_path, change, message):
    with pytest.raises(ManifestError, match=message):
        combine_manifests([children, adults], tmp_path / "m.csv", **change)
    assert not (tmp_path / "m.csv").exists()


def test_columns_are_added_and_renamed(children, adults, tmp_path):
    rows = combine_manifests(
        {"k": children, "nih": adults},
        tmp_path / "m.csv",
        add={"unit": "A", "nih:unit": "B", "nih:source": "nih"},
        rename={"nih:sex": "gender"},
    ).rows
    assert rows["unit"].tolist() == ["A"] * 4 + ["B"] * 2
    assert rows["source"].tolist() == ["k"] * 4 + ["nih"] * 2
    assert rows["gender"].tolist()[4:] == ["M", "F"]
    assert "sex" not in rows


def test_columns_must_agree(children, tmp_path):
    other = write(tmp_path / "b", [("e.png", "p9", "train", "1")], ("file", "patient", "split", "Label"))
    with pytest.raises(ManifestError, match="must have the column label. Received: b without"):
        combine_manifests([children, other], tmp_path / "m.csv")
    with pytest.raises(
        ManifestError, match="'label' in children and 'Label' in b.*--rename \"Label=label\"."
    ):
        combine_manifests([children, other], tmp_path / "m.csv", add={"b:label": "normal"})
    rows = combine_manifests([children, other], tmp_path / "m.csv", rename={"b:Label": "label"}).rows
    assert rows["label"].tolist()[-1] == "1"


def test_every_column_with_two_names_is_in_the_remedy(tmp_path):
    columns = ("file", "patient", "split")
    first = write(tmp_path / "a", [("e.png", "1", "train", "1", "0")], (*columns, "No Finding", "Mass"))
    second = write(tmp_path / "b", [("f.png", "2", "train", "1", "0")], (*columns, "mass", "No_finding"))
    with pytest.raises(ManifestError, match='--rename "No_finding=No Finding" "mass=Mass"'):
        combine_manifests([first, second], tmp_path / "m.csv")
    rename = {"No_finding": "No Finding", "mass": "Mass"}
    rows = combine_manifests([first, second], tmp_path / "m.csv", rename=rename).rows
    assert rows[["No Finding", "Mass"]].values.tolist() == [["1", "0"], ["0", "1"]]


def test_patients_of_rsna_are_found_among_those_of_chestx_ray14(tmp_path):
    """RSNA's images are images of ChestX-ray14; a patient in val of one and train of the other is a leak."""
    rows = [("a.png", "normal", "nih-00000013", "train", "nih-chestxray14")]
    nih = write(tmp_path / "nih", rows, ("file", "label", "patient", "split", "source"))
    rows = [("b.png", "normal", "nih-00000013", "val", "rsna-pneumonia")]
    rsna = write(tmp_path / "rsna", rows, ("file", "label", "patient", "split", "source"))
    with pytest.raises(ManifestError, match="--patients shared"):
        combine_manifests([nih, rsna], tmp_path / "m.csv")
    with pytest.raises(ManifestError, match="nih-00000013 .train of nih and val of rsna"):
        combine_manifests([nih, rsna], tmp_path / "m.csv", patients="shared")


def test_manifests_without_splits_are_rejected_unless_added(children, tmp_path):
    draw(tmp_path / "c" / "f.png")
    path = tmp_path / "c" / "list.csv"
    path.write_text("file,label,patient\nf.png,normal,p7\n")
    with pytest.raises(ManifestError, match="column split. Received: list without"):
        combine_manifests([children, path], tmp_path / "m.csv")
    with pytest.raises(ManifestError, match="need the column split. Received: list"):
        combine_manifests([path], tmp_path / "m.csv")
    rows = combine_manifests([children, path], tmp_path / "m.csv", add={"list:split": "external"}).rows
    assert rows["split"].tolist()[-1] == "external"


def test_masks_are_kept(children, tmp_path):
    draw(tmp_path / "b" / "masks" / "e.png")
    columns = ("file", "label", "patient", "split", "mask")
    other = write(tmp_path / "b", [("e.png", "normal", "p9", "train", "masks/e.png")], columns)
    combined = combine_manifests([children, other], tmp_path / "x" / "m.csv")
    assert combined.rows["mask"].tolist() == ["", "", "", "", "../b/masks/e.png"]
    assert combined.rows["mask_path"].tolist()[-1] == str(tmp_path / "b" / "masks" / "e.png")


def test_the_same_file_is_not_in_two_manifests(children, tmp_path):
    rows = [("../children/images/c.png", "other", "c3", "val"), ("own.png", "COVID-19", "v1", "train")]
    other = write(tmp_path / "second", rows)
    with pytest.raises(ManifestError, match=r"same file.*images/c.png in children .*--drop second:other"):
        combine_manifests([children, other], tmp_path / "m.csv")
    combined = combine_manifests([children, other], tmp_path / "m.csv", drop=["second:other"])
    assert len(combined.rows) == 5
    os.symlink(children.parent / "images" / "a.png", tmp_path / "second" / "link.png")
    linked = write(tmp_path / "second", [("link.png", "normal", "v2", "train")])
    with pytest.raises(ManifestError, match="The same file must not be in two manifests"):
        combine_manifests([children, linked], tmp_path / "m.csv")


def test_the_same_image_is_not_in_two_manifests(children, tmp_path):
    (tmp_path / "b").mkdir()
    shutil.copy(children.parent / "images" / "a.png", tmp_path / "b" / "copy.png")
    other = write(tmp_path / "b", [("copy.png", "normal", "z", "val"), ("new.png", "normal", "z", "val")])
    with pytest.raises(ManifestError, match=r"same image.*1 in several.*a.png.*copy.png in b"):
        combine_manifests([children, other], tmp_path / "m.csv")
    (tmp_path / "b" / "copy.png").unlink()
    with pytest.raises(MissingImageError, match=r"copy.png"):
        combine_manifests([children, other], tmp_path / "m.csv")


def test_a_patient_is_in_one_split_over_all_manifests(children, tmp_path):
    columns = ("file", "label", "patient", "split", "source")
    other = write(tmp_path / "b", [("e.png", "virus", "c1", "val", "children")], columns)
    message = r"1 patients in two: c1 \(train of children and val of b\)"
    with pytest.raises(ManifestError, match=message):
        combine_manifests([children, other], tmp_path / "m.csv")
    rows = combine_manifests([children, other], tmp_path / "m.csv", allow_patient_overlap=True).rows
    assert rows["patient"].tolist()[-1] == "c1"


def test_identifiers_in_several_sources_must_be_explained(children, tmp_path):
    rows = [("e.png", "virus", "c1", "val"), ("f.png", "virus", "b2", "val")]
    other = write(tmp_path / "b", rows)
    out = tmp_path / "m.csv"
    with pytest.raises(ManifestError, match=r"1 identifiers in several sources: c1.*children and b"):
        combine_manifests([children, other], out)
    separate = combine_manifests([children, other], out, patients="separate").rows["patient"].tolist()
    assert separate == ["children:c1", "c2", "c3", "c3", "b:c1", "b2"]
    with pytest.raises(ManifestError, match=r"c1 \(train of children and val of b\)"):
        combine_manifests([children, other], out, patients="shared")
    columns = ("file", "label", "patient", "split")
    other = write(tmp_path / "b", [("e.png", "virus", "c1", "train")], columns)
    assert combine_manifests([children, other], out, patients="shared").rows["patient"].tolist()[-1] == "c1"


def test_separate_patients_keep_one_identity_within_a_source(children, tmp_path):
    columns = ("file", "label", "patient", "split", "source")
    same = write(tmp_path / "b", [("e.png", "virus", "c1", "train", "children")], columns)
    other = write(tmp_path / "c", [("f.png", "virus", "c1", "val", "elsewhere")], columns)
    rows = combine_manifests([children, same, other], tmp_path / "m.csv", patients="separate").rows
    assert rows["patient"].tolist() == ["children:c1", "c2", "c3", "c3", "children:c1", "elsewhere:c1"]


def test_shards_are_combined_with_shards_only(children, adults, tmp_path):
    shards = [
        write_shards(read_manifest(path), tmp_path / "shards" / name)
        for name, path in (("one", children), ("two", adults))
    ]
    combined = combine_manifests(shards, tmp_path / "m.csv")
    assert combined.rows["shard"].tolist()[0].startswith("shards/one/")
    expected = [*read_manifest(shards[0]).rows["path"], *read_manifest(shards[1]).rows["path"]]
    assert combined.rows["path"].tolist() == expected
    with pytest.raises(ManifestError, match="column shard. Received: adults without"):
        combine_manifests([shards[0], adults], tmp_path / "m.csv")


def test_names_are_unique_and_the_output_is_another_file(children, tmp_path):
    with pytest.raises(ManifestError, match="its own name. Received: 'children'"):
        combine_manifests([children, children], tmp_path / "m.csv")
    with pytest.raises(ManifestError, match="contain ':'"):
        combine_manifests({"a:b": children}, tmp_path / "m.csv")
    with pytest.raises(ManifestError, match="at least one manifest"):
        combine_manifests([], tmp_path / "m.csv")
    before = children.read_bytes()
    with pytest.raises(ManifestError, match="another file.*the manifest children"):
        combine_manifests([children], children)
    assert children.read_bytes() == before


def test_counts_are_by_label_source_and_split(children, adults, tmp_path):
    table = count_labels(combine_manifests([children, adults], tmp_path / "m.csv").rows)
    assert table.columns.tolist() == ["train", "val", "reserve", "patients"]
    assert table.loc[("virus", "children")].tolist() == [0, 1, 1, 1]
    assert table.loc[("normal", "clinic")].tolist() == [1, 0, 0, 1]


def test_the_command_names_manifests_and_repeats_options(children, adults, tmp_path, capsys):
    command = ["data", "combine", f"kids={children}", str(adults), "--map", "kids:virus=a", "bacteria=b"]
    main([*command, "--map", "pneumonia=a|b", "--drop", "normal", "--out", str(tmp_path / "m.csv")])
    output = capsys.readouterr()
    assert output.out.splitlines() == [str(tmp_path / "m.csv")]
    assert "kids" in output.err
    assert read_manifest(tmp_path / "m.csv").rows["label"].tolist() == ["b", "a", "a", "a|b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "virus"], "--map must be written as KEY=VALUE"),
        (["--map", "virus=a", "--map", "virus=b"], "Received: 'virus=b'"),
        (["--add", "=a"], "--add must be written"),
    ],
)
def test_the_command_rejects_other_forms(children, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        main(["data", "combine", str(children), *options, "--out", str(tmp_path / "m.csv")])
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["data", "combine", str(children), str(children), "--out", str(tmp_path / "m.csv")])
    assert "its own name" in capsys.readouterr().err


@pytest.mark.parametrize("in_one", [True, False])
def test_splits_that_differ_only_in_case_are_an_error_before_writing(in_one, children, adults, tmp_path):
    path = children if in_one else adults
    path.write_text(path.read_text().replace(",train", ",Reserve" if in_one else ",RESERVE"))
    out = tmp_path / "all.csv"
    with pytest.raises(ManifestError, match="must not differ only in upper and lower case"):
        combine_manifests([children, adults], out)
    assert not out.exists()


def test_backslashes_of_one_manifest_and_slashes_of_another_are_one_file(children, tmp_path):
    copy = children.with_name("copy.csv")
    copy.write_text(children.read_text().replace("images/", "images\\"))
    with pytest.raises(ManifestError, match="the same file"):
        combine_manifests([children, copy], tmp_path / "all.csv", patients="shared")
