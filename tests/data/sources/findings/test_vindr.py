import pytest
from finding_folders import vindr_folder

from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.findings.vindr import read_vindr
from semenet.data.sources.source_rows import SourceError, SourceWarning
from semenet.errors import SemenetError

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


@pytest.mark.parametrize("images", ["dicom", "png"])
def test_images_of_both_parts_become_rows(tmp_path, images):
    with pytest.warns(SourceWarning, match="every image counts as its own patient"):
        frame = read_vindr(vindr_folder(tmp_path, images))
    assert frame["file"].str.endswith(f".{images}").all()
    assert all((tmp_path / file).is_file() for file in frame["file"])
    assert frame["patient"].nunique() == 6
    assert frame["split"].eq("test").tolist() == frame["file"].str.startswith("test/").tolist()
    assert set(frame["split"]) == {"train", "val", "test"}
    assert set(frame["sex"]) == ({"F"} if images == "dicom" else {""})
    assert set(frame["age"]) == ({"61"} if images == "dicom" else {""})
    assert "Other diseases" in frame
    assert "Other disease" not in frame


@pytest.mark.parametrize(
    ("radiologists", "pneumonia", "labels"),
    [
        ("majority", ["0", "1", "0", "1"], ["normal", "pneumonia", "normal", "pneumonia"]),
        ("any", ["0", "1", "1", "1"], ["normal", "pneumonia", "pneumonia", "pneumonia"]),
        (
            "unanimous",
            ["0", "uncertain", "uncertain", "1"],
            ["normal", "uncertain", "uncertain", "pneumonia"],
        ),
    ],
)
def test_three_radiologists_become_one_finding(tmp_path, radiologists, pneumonia, labels):
    frame = read_vindr(vindr_folder(tmp_path), radiologists=radiologists)
    train = frame[frame["split"] != "test"]
    assert train["Pneumonia"].tolist() == pneumonia
    assert train["label"].tolist() == labels
    assert frame.loc[frame["split"] == "test", "Pneumonia"].tolist() == ["1", "0"], "the consensus of test"


def test_disagreement_follows_the_policy(tmp_path):
    rules = RowRules(uncertain="missing", findings=("Pneumonia",))
    frame = read_vindr(vindr_folder(tmp_path), radiologists="unanimous", rules=rules)
    assert frame["Pneumonia"].tolist()[2:] == ["0", "", "", "1"]


def test_damaged_tables_and_other_decisions_are_rejected(tmp_path):
    vindr_folder(tmp_path)
    with pytest.raises(SemenetError, match="Received: 'all'"):
        read_vindr(tmp_path, radiologists="all")
    path = tmp_path / "annotations" / "image_labels_test.csv"
    text = path.read_text()
    path.write_text(text.replace("Tuberculosis", "TB"))
    with pytest.raises(SourceError, match="same findings.*Tuberculosis"):
        read_vindr(tmp_path)
    path.write_text(text.replace(",0,1,", ",0,yes,"))
    with pytest.raises(SourceError, match="must be 0 or 1.*'yes'"):
        read_vindr(tmp_path)
