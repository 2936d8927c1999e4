import pytest
from finding_folders import siim_folder

from semenet.data.sources.findings.siim import read_siim
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def test_every_image_of_a_study_is_a_row(tmp_path):
    frame = read_siim(siim_folder(tmp_path)).set_index("study")
    assert len(frame) == 6
    assert frame["file"].tolist()[:2] == [
        "train/00086460a852/258a06468000/65761e66de9f.dcm",
        "train/00086460a852/258a06468000/7d1c3a9b2f10.dcm",
    ]
    assert frame.loc["00086460a852", "label"].tolist() == ["typical", "typical"]
    assert frame.loc["00086460a852", "boxes"].tolist() == [
        "789.288 582.43 1026 1917.3;789.288 583.43 1026 1917.3",
        "",
    ]
    assert frame["label"].value_counts().to_dict() == {
        "typical": 2,
        "negative": 2,
        "atypical": 1,
        "indeterminate": 1,
    }


def test_an_opacity_without_boxes_is_not_known_unless_the_study_is_negative(tmp_path):
    frame = read_siim(siim_folder(tmp_path)).set_index("study")
    assert frame.loc["00086460a852", "opacity"].tolist() == ["1", ""]
    assert frame.loc["000c9c05fd14", "opacity"] == "0"
    assert frame.loc["0051d9b12e72", "opacity"] == ""
    assert frame.loc["005057b3f880", ["opacity", "Atypical Appearance"]].tolist() == ["1", "1"]


def test_patients_come_from_the_headers(tmp_path):
    frame = read_siim(siim_folder(tmp_path)).set_index("study")
    assert frame.loc["00292f8c37bd", "patient"] == "siim-p1"
    assert set(frame.loc["00086460a852", "patient"]) == {"siim-p1"}
    assert frame.loc["0051d9b12e72", "patient"] == "siim-0051d9b12e72"
    assert (frame.groupby("patient")["split"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("train_study_level.csv", "_study,0,1,0,0", "_study,1,1,0,0", "one row and one appearance"),
        ("train_study_level.csv", "000c9c05fd14", "000000000000", "must belong to a study.*000c9c05fd14"),
        ("train_image_level.csv", "'width'", "'wide'", "Boxes must be a list"),
        ("train_image_level.csv", "boxes,label", "box,label", "without boxes"),
    ],
)
def test_damaged_tables_are_rejected(tmp_path, table, old, new, message):
    siim_folder(tmp_path)
    path = tmp_path / table
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SourceError, match=message):
        read_siim(tmp_path)


def test_missing_tables_are_errors(tmp_path):
    with pytest.raises(SourceNotFoundError, match="train_study_level.csv"):
        read_siim(tmp_path)
