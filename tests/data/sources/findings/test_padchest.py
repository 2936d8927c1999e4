import pytest
from finding_folders import PADCHEST_ROWS, padchest_folder

from semenet.data.sources.findings.padchest import read_padchest
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


@pytest.mark.parametrize("compressed", [False, True])
def test_frontal_images_become_rows(tmp_path, compressed):
    frame = read_padchest(padchest_folder(tmp_path, compressed)).set_index("patient")
    assert sorted(frame.index) == ["padchest-313572", "padchest-50783", "padchest-60001", "padchest-839860"]
    row = frame.loc["padchest-839860"]
    assert row["file"] == f"0/{PADCHEST_ROWS[0][0]}"
    wanted = ["label", "view", "sex", "age", "label_method"]
    assert row[wanted].tolist() == ["pneumonia", "PA", "F", "84", "Physician"]
    assert row[["pneumonia", "pulmonary fibrosis", "normal"]].tolist() == ["1", "1", "0"]
    assert frame.loc["padchest-50783", ["view", "sex", "age"]].tolist() == ["AP_horizontal", "", "60"]
    assert frame.loc["padchest-60001", "age"] == ""
    assert frame.loc["padchest-313572", "label"] == "normal"


def test_findings_of_an_unchanged_report_are_not_known(tmp_path):
    row = read_padchest(padchest_folder(tmp_path)).set_index("patient").loc["padchest-50783"]
    assert row[["pleural effusion", "pneumonia", "normal", "cardiomegaly"]].tolist() == ["1", "", "", ""]
    assert "unchanged" not in row


def test_broken_rows_are_left_out_and_counted(tmp_path):
    message = (
        '2 with an empty or damaged list.*1 with the finding "exclude"; 1 without a patient; 1 of other views'
    )
    with pytest.warns(SourceWarning, match=message):
        read_padchest(padchest_folder(tmp_path))


def test_all_images_may_be_in_one_folder(tmp_path):
    padchest_folder(tmp_path)
    for path in list(tmp_path.glob("*/*.png")):
        path.rename(tmp_path / path.name)
    frame = read_padchest(tmp_path, rules=RowRules(findings=("pneumonia",)))
    assert PADCHEST_ROWS[0][0] in set(frame["file"])
    assert "cardiomegaly" not in frame


def test_missing_files_and_tables_are_errors(tmp_path):
    with pytest.raises(SourceNotFoundError, match="PADCHEST_chest_x_ray_images_labels_160K"):
        read_padchest(tmp_path)
    padchest_folder(tmp_path)
    (tmp_path / "0" / PADCHEST_ROWS[0][0]).unlink()
    with pytest.raises(SourceError, match=f"missing: {PADCHEST_ROWS[0][0]}"):
        read_padchest(tmp_path)
