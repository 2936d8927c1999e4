"""Reading, checking and writing manifests, and the errors for wrong ones."""

import errno
import hashlib
import os
import stat
import time

import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.csv_file import MissingManifestError, join_paths
from semenet.data.manifest.splitting import split_patients
from semenet.data.manifest.table import (
    ManifestError,
    check_patients,
    label_index,
    patients_in_several_splits,
    read_manifest,
    write_manifest,
)

HEADER = "file,label,patient,split\n"


def write_text(folder, text, name="manifest.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_rows_as_text_with_absolute_paths(tmp_path):
    path = write_text(
        tmp_path,
        "file,label,patient,split,mask,age\n"
        "a/x.png,normal,007,train,m/x.png,5\n"
        "../y.png,NA,p2,val,,\n"
        "/z.png,virus,p3,test,/m/z.png,7\n",
    )
    manifest = read_manifest(path)
    rows = manifest.rows
    assert rows["patient"].tolist() == ["007", "p2", "p3"]
    assert rows["label"].tolist() == ["normal", "NA", "virus"]
    assert rows["age"].tolist() == ["5", "", "7"]
    assert rows["path"].tolist() == [f"{tmp_path}/a/x.png", f"{tmp_path.parent}/y.png", "/z.png"]
    assert rows["mask_path"].tolist() == [f"{tmp_path}/m/x.png", "", "/m/z.png"]
    assert manifest.path == path


def test_paths_start_from_a_given_root(tmp_path):
    path = write_text(tmp_path, HEADER + "a.png,normal,p,train\n")
    assert read_manifest(path, root="/elsewhere").rows["path"].tolist() == ["/elsewhere/a.png"]


def test_relative_manifest_gives_absolute_paths(tmp_path, monkeypatch):
    write_text(tmp_path, HEADER + "a.png,normal,p,train\n")
    monkeypatch.chdir(tmp_path)
    assert read_manifest("manifest.csv").rows["path"].tolist() == [f"{tmp_path}/a.png"]


def test_a_manifest_may_have_masks_and_no_labels(tmp_path):
    path = write_text(tmp_path, "file,mask,patient,split\na.png,m.png,p,train\n")
    assert "label" not in read_manifest(path, required=("mask",)).rows
    with pytest.raises(ManifestError, match="Add label"):
        read_manifest(path)
    with pytest.raises(ValueError, match="required"):
        read_manifest(path, required=("patient",))


def test_byte_order_mark_and_windows_lines_are_read(tmp_path):
    path = write_text(tmp_path, b"\xef\xbb\xbffile,label,patient,split\r\na.png,normal,p,train\r\n")
    assert read_manifest(path).rows["file"].tolist() == ["a.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (HEADER.encode(), "only a header"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "UTF-8"),
        (b"file,label,patient\na,b,c\n", "Add split"),
        (b"file,label,patient,split,file\na,b,c,d,e\n", "file occurs more than once"),
        (b"file,label,patient,split,path\na,b,c,d,e\n", "column path"),
        (b"file,label,patient,split\na,b,c,d,e\n", "as many cells"),
        (b"file,label,patient,split\na,b,c,d\ne,f,g,h,i\n", "line 3"),
        (b'file,label,patient,split\na,b,c,"d\n', "EOF"),
    ],
)
def test_files_that_are_not_manifests_are_rejected_by_name(tmp_path, text, message):
    path = write_text(tmp_path, text)
    with pytest.raises(ManifestError, match=message) as error:
        read_manifest(path)
    assert str(path) in str(error.value)


def test_missing_manifest_and_folder_are_rejected(tmp_path):
    with pytest.raises(MissingManifestError, match="none.csv, which does not exist") as error:
        read_manifest(tmp_path / "none.csv")
    assert isinstance(error.value, ManifestError)
    assert isinstance(error.value, FileNotFoundError)
    with pytest.raises(ManifestError, match="folder"):
        read_manifest(tmp_path)


def test_empty_cells_are_located_by_line_number(tmp_path):
    # The second row spans two lines and a blank line follows it, so that row and line numbers differ.
    path = write_text(tmp_path, HEADER + 'a,x,p,train\nb,x,"p\nq",train\n\nc,x, ,val\nd,x\n')
    with pytest.raises(ManifestError, match=r"2 empty cells in 'patient', line 6, 7\."):
        read_manifest(path)


def test_many_empty_cells_are_counted(tmp_path):
    path = write_text(tmp_path, HEADER + "".join(f"{i},,p,train\n" for i in range(9)))
    with pytest.raises(ManifestError, match="9 empty cells in 'label', line 2, 3, 4, 5, 6 and 4 more"):
        read_manifest(path)


def test_a_file_named_twice_is_rejected_with_both_lines(tmp_path):
    path = write_text(tmp_path, HEADER + "a,x,p,train\nb,x,p,train\na,x,p,train\n")
    with pytest.raises(ManifestError, match=r"first a, line 2, 4\."):
        read_manifest(path)


def test_hash_depends_on_contents_and_not_on_the_path(tmp_path):
    text = HEADER + "a,x,p,train\nb,y,q,val\n"
    first = read_manifest(write_text(tmp_path, text)).sha256
    (tmp_path / "moved").mkdir()
    assert read_manifest(write_text(tmp_path / "moved", text)).sha256 == first
    more = "file,label,patient,split,age\na,x,p,train,1\nb,y,q,val,2\n"
    assert read_manifest(write_text(tmp_path, more)).sha256 == first
    for changed in ("a,x,p,val\nb,y,q,val\n", "b,y,q,val\na,x,p,train\n", "a,xp,,train\nb,y,q,val\n"):
        path = write_text(tmp_path, HEADER + changed.replace("xp,,", "xp,r,"))
        assert read_manifest(path).sha256 != first
    masks = "file,label,patient,split,mask\na,x,p,train,m\nb,y,q,val,n\n"
    assert read_manifest(write_text(tmp_path, masks)).sha256 != first


def test_split_returns_its_rows_or_lists_the_splits(tmp_path):
    path = write_text(tmp_path, HEADER + "a,x,p,train\nb,x,q,val\nc,x,p,train\n")
    manifest = read_manifest(path)
    train = manifest.split("train")
    assert train["file"].tolist() == ["a", "c"]
    assert train.index.tolist() == [0, 1]
    with pytest.raises(ManifestError, match=r"'test'.*train \(2 rows\), val \(1 rows\)"):
        manifest.split("test")


def test_patients_in_two_splits_are_listed(tmp_path):
    text = "a,x,p,train\nb,x,p,val\nc,x,q,test\nd,x,q,train\ne,x,r,train\nf,x,r,train\n"
    text += "g,x,s,train\nh,x,s,reserve\n"
    manifest = read_manifest(write_text(tmp_path, HEADER + text))
    with pytest.raises(ManifestError, match=r"2 patients.*p \(train and val\), q \(test and train\)"):
        check_patients(manifest)
    check_patients(manifest, splits=("train", "none"))
    with pytest.raises(ManifestError, match=r"s \(reserve and train\)"):
        check_patients(manifest, splits=("train", "reserve"))


def test_written_manifest_reads_back_the_same(tmp_path):
    path = write_text(tmp_path, 'file,label,patient,split,mask\n"a,b",x,1,train,\nü,"y""",2,val,m\n')
    manifest = read_manifest(path)
    copy = tmp_path / "copy.csv"
    write_manifest(manifest.rows, copy)
    again = read_manifest(copy)
    pd.testing.assert_frame_equal(again.rows, manifest.rows)
    assert again.sha256 == manifest.sha256
    assert copy.read_bytes() == path.read_bytes()
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o644


def test_writing_that_fails_leaves_the_old_manifest(tmp_path, monkeypatch):
    path = write_text(tmp_path, HEADER + "a,x,p,train\n")
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match=rf"no space left.*{path.name}"):
        write_manifest(pd.DataFrame({"file": ["b"], "patient": ["p"], "split": ["val"]}), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.csv"]


def test_writing_needs_columns_and_a_folder(tmp_path):
    with pytest.raises(ManifestError, match="Add split"):
        write_manifest(pd.DataFrame({"file": ["b"], "patient": ["p"]}), tmp_path / "m.csv")
    frame = pd.DataFrame({"file": ["b"], "patient": ["p"], "split": ["val"]})
    with pytest.raises(ManifestError, match="Create the folder"):
        write_manifest(frame, tmp_path / "none" / "m.csv")


def test_label_index_follows_the_order_of_the_classes():
    rows = pd.DataFrame({"file": ["1", "2", "3"], "label": ["b", "a", "b"]})
    index = label_index(rows, ("a", "b"))
    np.testing.assert_array_equal(index, [1, 0, 1])
    assert index.dtype == np.int64
    with pytest.raises(ManifestError, match=r"'b' for 1 .*--classes"):
        label_index(rows, ("a", "c"))


def test_a_hundred_thousand_rows_are_read(tmp_path):
    count = 100_000
    path = write_text(tmp_path, HEADER + "".join(f"i/{i}.png,x,p{i // 3},train\n" for i in range(count)))
    manifest = read_manifest(path)
    check_patients(manifest)
    assert len(manifest.split("train")) == count


@pytest.mark.parametrize("column", ["patient", "label", "split"])
def test_white_space_around_a_value_is_rejected(tmp_path, column):
    row = {"file": "a.png", "label": "normal", "patient": "p1", "split": "train"}
    other = row | {"file": "b.png", column: row[column] + " "}
    pd.DataFrame([row, other]).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ManifestError, match=rf"white space.*{column}.*line 3"):
        read_manifest(tmp_path / "m.csv")


def test_one_file_with_two_spellings_is_rejected(tmp_path):
    rows = [
        {"file": file, "label": "normal", "patient": patient, "split": split}
        for file, patient, split in [("images/3.png", "p1", "train"), ("./images/3.png", "p2", "val")]
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ManifestError, match=r"'images/3.png' and './images/3.png'.*one file"):
        read_manifest(tmp_path / "m.csv")


def test_overlap_is_returned_if_allowed(tmp_path):
    text = "a,x,p,train\nb,x,p,val\nc,x,q,test\nd,x,q,train\ne,x,r,train\nf,x,r,reserve\n"
    manifest = read_manifest(write_text(tmp_path, HEADER + text))
    found = check_patients(manifest, allow_overlap=True)
    assert found.to_dict() == {"p": ["train", "val"], "q": ["test", "train"]}
    assert patients_in_several_splits(manifest.rows).to_dict() == found.to_dict() | {
        "r": ["reserve", "train"]
    }
    assert patients_in_several_splits(manifest.rows, ("val", "test")).empty
    assert check_patients(manifest, splits=("val", "test")).to_dict() == {}


def test_split_may_be_missing_before_it_is_drawn(tmp_path):
    path = write_text(tmp_path, "file,label,patient\na,x,p\n")
    assert "split" not in read_manifest(path, require_split=False).rows
    with pytest.raises(ManifestError, match="Add split"):
        read_manifest(path)


@pytest.mark.parametrize("folder", ["/data/set", "/", ".", "a/b", "//net", "/data/../set"])
def test_paths_are_joined_and_normalized_as_by_the_standard_library(folder):
    names = ["a.png", "a/b.png", "./a", "a/./b", "../a", "a/../b", "a//b", "/a/b", "/", "a/", "..", ".", ".a"]
    names += ["..a", "a..", "a/.b", "a/..b/c", "a.", "a/...", "ü/x y.png", "a/.", "a/.."]
    expected = [os.path.normpath(os.path.join(folder, name)) for name in names]
    assert join_paths(folder, [*names, ""]) == [*expected, ""]


def test_hash_of_a_known_manifest_does_not_change(tmp_path):
    """Runs, metrics and cards store it: SHA-256 of one JSON text per column, computed by hand."""
    path = write_text(tmp_path, 'file,label,patient,split,mask,age\na,x,p,train,,1\n"b,ü",y,q,val,m,2\n')
    text = '{"file": ["a", "b,\\u00fc"]}{"label": ["x", "y"]}{"patient": ["p", "q"]}'
    text += '{"split": ["train", "val"]}{"mask": ["", "m"]}'
    assert read_manifest(path).sha256 == hashlib.sha256(text.encode()).hexdigest()


def cpu_seconds(function):
    """Returns the processor time of a call, which other processes do not count towards, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


@pytest.mark.slow
def test_a_million_rows_are_processed_in_a_small_multiple_of_the_time_to_read_the_csv(tmp_path, monkeypatch):
    """5 to 8 times the processor time that pandas needs to read the file; no image file is accessed."""
    count = 1_000_000
    path = tmp_path / "m.csv"
    patient = np.arange(count) % 400_000
    frame = {
        "file": [f"i/{i // 1000}/{i}.png" for i in range(count)],
        "label": patient % 3,
        "patient": patient,
    }
    splits = np.array(["train", "val", "test"])[patient % 3]
    pd.DataFrame({**frame, "split": splits}).to_csv(path, index=False)
    accessed, normalized = [], []

    def recorded(function, names):
        def record(name, *arguments, **keywords):
            names.append(os.fspath(name))
            return function(name, *arguments, **keywords)

        return record

    monkeypatch.setattr(os, "stat", recorded(os.stat, accessed))
    monkeypatch.setattr(os, "lstat", recorded(os.lstat, accessed))
    monkeypatch.setattr(os.path, "normpath", recorded(os.path.normpath, normalized))

    def read_check_and_split():
        manifest = read_manifest(path)
        check_patients(manifest)
        return manifest.rows.assign(split=split_patients(manifest.rows))

    def read_csv():
        return pd.read_csv(path, dtype=str, keep_default_na=False)

    reference = min(cpu_seconds(read_csv)[0] for _ in range(3))
    seconds, drawn = min((cpu_seconds(read_check_and_split) for _ in range(2)), key=lambda run: run[0])
    assert seconds < 15 * reference
    assert not [name for name in accessed if name.endswith(".png")]
    assert not [name for name in normalized if name.endswith(".png")], "such names need no normalizing"
    assert patients_in_several_splits(drawn).empty


@pytest.mark.parametrize(
    ("change", "message"),
    [({"label": ["a ", "b"]}, "'a '.*'label'"), ({"file": ["x\udcff.png", "y.png"]}, "UTF-8.*udcff")],
)
def test_values_that_could_not_be_read_again_are_not_written(tmp_path, change, message):
    cells = {
        "file": ["x.png", "y.png"],
        "label": ["a", "b"],
        "patient": ["1", "2"],
        "split": ["train", "val"],
    }
    (tmp_path / "m.csv").write_text("old")
    with pytest.raises(ManifestError, match=message):
        write_manifest(pd.DataFrame(cells | change, dtype=object), tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]
