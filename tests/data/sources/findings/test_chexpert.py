import pytest
from finding_folders import CHEXPERT_TRAIN, chexpert_folder

from semenet.data.sources.findings.chexpert import FINDINGS, read_chexpert
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def test_frontal_images_become_rows(tmp_path):
    with pytest.warns(SourceWarning, match="1 of other views than frontal"):
        frame = read_chexpert(chexpert_folder(tmp_path))
    assert frame["file"].tolist() == [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study2/view1_frontal.jpg",
        "train/patient00003/study1/view1_frontal.jpg",
        "train/patient00004/study1/view1_frontal.jpg",
        "valid/patient64541/study1/view1_frontal.jpg",
    ]
    assert frame["label"].tolist() == ["normal", "uncertain", "pneumonia", "other", "other"]
    assert frame["split"].tolist() == ["train"] * 4 + ["val"]
    assert frame["sex"].tolist() == ["F", "F", "M", "", "M"]
    assert frame["view"].tolist() == ["AP", "AP", "PA", "PA", "AP"]
    assert frame["patient"][0] == "chexpert-00001"


def test_missing_and_uncertain_findings_stay(tmp_path):
    frame = read_chexpert(chexpert_folder(tmp_path))
    assert frame["Pneumonia"].tolist() == ["", "uncertain", "1", "0", "0"]
    assert frame["Edema"].tolist() == ["", "", "0", "1", "0"]
    assert set(FINDINGS) <= set(frame)


@pytest.mark.parametrize(("uncertain", "cell"), [("missing", ""), ("0", "0"), ("1", "1")])
def test_the_policy_changes_uncertain_findings_alone(tmp_path, uncertain, cell):
    frame = read_chexpert(chexpert_folder(tmp_path), rules=RowRules(uncertain=uncertain))
    assert frame["Pneumonia"].tolist() == ["", cell, "1", "0", "0"]
    assert frame["label"][1] == "uncertain", "the label does not guess"


def test_lateral_images_are_a_view(tmp_path):
    frame = read_chexpert(chexpert_folder(tmp_path), rules=RowRules(views=("L",)))
    assert frame["file"].tolist() == ["train/patient00002/study1/view2_lateral.jpg"]


def test_other_editions_have_other_names_in_their_paths(tmp_path):
    assert len(read_chexpert(chexpert_folder(tmp_path, name="CheXpert-v1.0"))) == 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("-1.0", "2.0", "1, 0, -1 or empty.*2.0"), ("/patient00001", "/00001", "must have the form")],
)
def test_damaged_tables_are_rejected(tmp_path, old, new, message):
    chexpert_folder(tmp_path, CHEXPERT_TRAIN)
    path = tmp_path / "train.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SourceError, match=message):
        read_chexpert(tmp_path)
