import numpy as np
import pandas as pd
import pytest

from semenet.cli.main import main
from semenet.data.manifest.several_labels import known_labels, split_findings
from semenet.data.manifest.table import ManifestError, read_manifest

NAMES = ("edema", "effusion")


def write(folder, **columns):
    table = pd.DataFrame({"file": ["a.png", "b.png"], "patient": ["p", "q"], "split": ["train", "val"]})
    path = folder / "manifest.csv"
    table.assign(**columns).to_csv(path, index=False)
    return path


def test_known_labels_are_one_zero_or_unknown(tmp_path):
    path = write(tmp_path, **{"label:edema": ["1", ""], "label:effusion": ["0.0", "1.0"], "other": "x"})
    labels = known_labels(read_manifest(path, required=()).rows, NAMES)
    assert labels.tolist() == [[1, 0], [-1, 1]]
    assert labels.dtype == np.float32
    # In the order of the classes.
    assert known_labels(read_manifest(path, required=()).rows, NAMES[::-1]).tolist() == [[0, 1], [1, -1]]


@pytest.mark.parametrize("value", ["-1", "yes", "2", "0.5"])
def test_other_values_are_refused_with_their_line(tmp_path, value):
    path = write(tmp_path, **{"label:edema": ["1", value]})
    with pytest.raises(ManifestError, match=rf"'{value}' in label:edema of .*line 3"):
        read_manifest(path, required=())


def test_columns_may_have_the_names_of_the_findings(tmp_path):
    path = write(tmp_path, edema=["1", "uncertain"], effusion=["", "0"], label=["edema", "other"])
    rows = read_manifest(path).rows
    assert known_labels(rows, NAMES).tolist() == [[1, -1], [-1, 0]]
    rows["label:edema"] = ["0", "0"]
    assert known_labels(rows, NAMES).tolist() == [[0, -1], [0, 0]]
    with pytest.raises(ManifestError, match="'a.png' in the column file"):
        known_labels(rows, ("edema", "file"))


def test_a_missing_column_is_named(tmp_path):
    rows = read_manifest(write(tmp_path, **{"label:edema": "1"}), required=()).rows
    with pytest.raises(ManifestError, match="Received: no label:effusion"):
        known_labels(rows, NAMES)


def test_the_hash_depends_on_the_labels(tmp_path):
    def sha256(**columns):
        return read_manifest(write(tmp_path, **columns), required=()).sha256

    plain = sha256(other=["1", "0"])
    assert plain == sha256(other=["0", "0"])
    first = sha256(**{"label:edema": ["1", "0"]})
    assert (
        len({plain, first, sha256(**{"label:edema": ["1", ""]}), sha256(**{"label:mass": ["1", "0"]})}) == 4
    )


def test_the_column_label_states_one_finding_each():
    rows = pd.DataFrame({"file": ["a", "b", "c"], "label": ["edema", "effusion", "edema|effusion"]})
    assert known_labels(rows, NAMES).tolist() == [[1, 0], [0, 1], [-1, -1]]
    assert known_labels(rows, (*NAMES, "mass"))[2].tolist() == [-1, -1, 0]
    assert known_labels(rows, ("edema",))[:2].tolist() == [[1], [0]]
    with pytest.raises(ManifestError, match="'edema' for a"):
        known_labels(rows, ("effusion", "mass"))


def test_lists_of_findings_become_columns():
    values = pd.Series(["Edema|Mass", "No Finding", "", "Mass"])
    assert split_findings(values).to_dict("list") == {
        "label:Edema": ["1", "0", "", "0"],
        "label:Mass": ["1", "0", "", "1"],
    }
    assert list(split_findings(values, ("Mass",))) == ["label:Mass"]
    with pytest.raises(ManifestError, match="Received: Hernia. There are: Edema, Mass"):
        split_findings(values, ("Hernia",))
    with pytest.raises(ManifestError, match=r"Received: 'No Finding\|Mass'"):
        split_findings(pd.Series(["No Finding|Mass"]))


def test_the_command_writes_the_columns_beside_another_folder(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    path = write(tmp_path, finding=["edema|effusion", "No Finding"])
    assert main(["data", "findings", str(path), "--out", str(tmp_path / "out" / "new.csv")]) in (None, 0)
    rows = read_manifest(tmp_path / "out" / "new.csv", required=()).rows
    assert rows["label:edema"].tolist() == ["1", "0"]
    assert rows["path"][0] == str(tmp_path / "out" / ".." / "a.png") or rows["path"][0].endswith("/a.png")
    assert "edema: 1 with it, 1 without, 0 not known" in capsys.readouterr().out
