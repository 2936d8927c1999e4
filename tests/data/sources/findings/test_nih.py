import pytest
from finding_folders import NIH_ROWS, nih_folder

from semenet.data.sources.findings.nih import FINDINGS, read_nih
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning
from semenet.errors import SemenetError

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


@pytest.mark.parametrize("edition", [2017, 2020])
def test_both_editions_become_rows(tmp_path, edition):
    frame = read_nih(nih_folder(tmp_path, edition=edition))
    assert all((tmp_path / file).is_file() for file in frame["file"])
    frame = frame.set_index("finding")
    row = frame.loc["Pneumonia|Pleural_Thickening"]
    assert row["file"] == "images_002/images/00000003_000.png"
    wanted = ["label", "patient", "view", "sex", "age"]
    assert row[wanted].tolist() == ["pneumonia", "nih-00000003", "AP", "F", "74"]
    assert {finding for finding in FINDINGS if row[finding] == "1"} == {"Pneumonia", "Pleural_Thickening"}
    assert {row[finding] for finding in FINDINGS} == {"0", "1"}
    assert frame.loc["Cardiomegaly|Emphysema", "label"] == "other"
    assert frame.loc["No Finding", "label"].tolist() == ["normal"] * 3
    assert (frame.groupby("patient")["split"].nunique() == 1).all()


def test_impossible_ages_are_empty_and_counted(tmp_path):
    with pytest.warns(SourceWarning, match="1 images have an impossible age, such as 412Y"):
        frame = read_nih(nih_folder(tmp_path)).set_index("patient")
    assert frame.loc["nih-00000004", "age"] == ""
    assert frame.loc["nih-00000006", "age"] == "0"


def test_views_and_ages_select_rows(tmp_path):
    nih_folder(tmp_path)
    rules = RowRules(views=("pa",), ages="18-")
    with pytest.warns(SourceWarning, match="2 of other views than pa; 2 of other or unknown ages than 18-"):
        frame = read_nih(tmp_path, rules=rules)
    assert frame["patient"].tolist() == ["nih-00000001", "nih-00000002", "nih-00000001"]
    with pytest.raises(SemenetError, match="--views.*Received: 'LL'.*Choose among: AP, PA"):
        read_nih(tmp_path, rules=RowRules(views=("LL",)))
    with pytest.raises(SourceError, match="At least one image.*7 of other or unknown ages than 90-"):
        read_nih(tmp_path, rules=RowRules(ages="90-"))


def test_labels_and_columns_are_chosen(tmp_path):
    nih_folder(tmp_path)
    rules = RowRules(
        labels={"Emphysema": "copd", "Cardiomegaly": "heart"}, drop_others=True, findings=("Mass",)
    )
    with pytest.warns(SourceWarning, match="5 with none of Emphysema, Cardiomegaly"):
        frame = read_nih(tmp_path, rules=rules)
    assert sorted(frame["label"]) == ["copd", "heart"]
    assert set(FINDINGS) & set(frame) == {"Mass"}
    with pytest.raises(SemenetError, match="--findings.*'pneumonia'. Did you mean 'Pneumonia'"):
        read_nih(tmp_path, rules=RowRules(findings=("pneumonia",)))
    with pytest.raises(SemenetError, match="--labels.*'Pneumona'. Did you mean 'Pneumonia'"):
        read_nih(tmp_path, rules=RowRules(labels={"Pneumona": "x"}))


def test_official_splits_come_from_the_lists(tmp_path):
    rows = [(f"{n:08}_000.png", "No Finding", str(n), "050Y", "M", "PA") for n in range(1, 33)]
    frame = read_nih(nih_folder(tmp_path, rows), splits="official")
    assert frame["split"].value_counts().to_dict() == {"train": 27, "val": 3, "test": 2}
    assert set(frame.loc[frame["split"] == "test", "patient"]) == {"nih-00000001", "nih-00000002"}
    path = tmp_path / "train_val_list.txt"
    path.write_text(path.read_text().replace("00000009_000.png\n", ""))
    with pytest.warns(SourceWarning, match="1 that are in neither list"):
        assert len(read_nih(tmp_path, splits="official")) == 31
    path.unlink()
    with pytest.raises(SourceNotFoundError, match="train_val_list.txt.*--splits drawn"):
        read_nih(tmp_path, splits="official")
    with pytest.raises(SemenetError, match="Received: 'mine'"):
        read_nih(tmp_path, splits="mine")


def test_missing_files_are_named(tmp_path):
    nih_folder(tmp_path)
    (tmp_path / "images_001" / "images" / NIH_ROWS[2][0]).unlink()
    with pytest.raises(
        SourceError, match="1 of 7 are missing: images_001/00000002_000.png.*--on-missing skip"
    ):
        read_nih(tmp_path)
    with pytest.warns(SourceWarning, match="1 listed files are missing and were left out"):
        assert len(read_nih(tmp_path, rules=RowRules(on_missing="skip"))) == 6


def test_a_folder_of_another_layout_is_rejected(tmp_path):
    with pytest.raises(SourceNotFoundError, match="Data_Entry_2017"):
        read_nih(tmp_path)
    nih_folder(tmp_path / "a")
    table = tmp_path / "a" / "Data_Entry_2017.csv"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / table.name).write_text(table.read_text())
    with pytest.raises(SourceNotFoundError, match="folders images_001 to images_012"):
        read_nih(tmp_path / "b")
    table.write_text(table.read_text().replace("Emphysema", "Emphisema"))
    with pytest.raises(SourceError, match="with Emphisema"):
        read_nih(tmp_path / "a")
    table.write_text(table.read_text().replace("Emphisema", "Emphysema").replace("Patient Age", "Years"))
    with pytest.raises(SourceError, match="without Patient Age"):
        read_nih(tmp_path / "a")


def test_images_listed_or_stored_twice_are_rejected(tmp_path):
    nih_folder(tmp_path, [*NIH_ROWS, NIH_ROWS[0]])
    with pytest.raises(SourceError, match="have its own name"):
        read_nih(tmp_path)
    (tmp_path / "images_002" / "images" / NIH_ROWS[0][0]).unlink()
    with pytest.raises(SourceError, match="listed once.*00000001_000.png"):
        read_nih(tmp_path)
