import pytest
from finding_folders import hannover_folder

from semenet.data.sources.findings.hannover import read_hannover
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def test_the_repository_becomes_rows(tmp_path):
    frame = read_hannover(hannover_folder(tmp_path)).set_index("file")
    row = frame.loc["png/a38e1877.png"]
    wanted = ["label", "patient", "source", "license", "view", "sex", "age", "modality", "offset", "COVID-19"]
    assert row[wanted].tolist() == [
        *("COVID-19", "hannover-14d9761b", "hannover", "CC BY 3.0", "AP", "F", "", "CR", "16", "1"),
    ]
    assert frame.loc["png/2c35005f.png", "offset"] == "-23", "an image from before the admission"
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    assert len(frame) == 5


def test_missing_files_are_named(tmp_path):
    hannover_folder(tmp_path, missing=("5f619d7e",))
    with pytest.raises(SourceError, match="missing: png/5f619d7e.png"):
        read_hannover(tmp_path)
    with pytest.warns(SourceWarning, match="left out: png/5f619d7e.png"):
        assert len(read_hannover(tmp_path, rules=RowRules(on_missing="skip"))) == 4


def test_unknown_ages_cannot_be_selected(tmp_path):
    with pytest.raises(SourceError, match="5 of other or unknown ages than 18-"):
        read_hannover(hannover_folder(tmp_path), rules=RowRules(ages="18-"))
