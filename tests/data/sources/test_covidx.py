import pytest
from source_folders import COVIDX_LISTS, covidx_folder

from semenet.data.sources.covidx import read_covidx
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def test_lists_become_rows(tmp_path):
    frame = read_covidx(covidx_folder(tmp_path)).set_index("file")
    assert len(frame) == 27
    assert all((tmp_path / file).is_file() for file in frame.index)
    wanted = ["label", "patient", "source", "license"]
    assert frame.loc["train/cohen-7.jpeg", wanted].tolist() == [
        "positive",
        "covid-7",
        "covidx-cohen",
        "not stated",
    ]
    assert frame.loc["test/47c78742-4998.png", wanted].tolist() == [
        "negative",
        "rsna-47c78742-4998",
        "covidx-rsna",
        "not stated",
    ]
    sirm = frame[frame["source"] == "covidx-sirm"]
    assert sirm["patient"].tolist() == ["sirm-COVID 50", "sirm-COVID 51"], "not one patient called COVID"


def test_a_patient_in_two_lists_is_in_test_and_val_is_drawn_from_train(tmp_path):
    with pytest.warns(SourceWarning, match="1 images of 1 patients .* ricord-419639-000025"):
        frame = read_covidx(covidx_folder(tmp_path), val_share=0.2, seed=4)
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    assert frame.loc[frame["source"] == "covidx-ricord", "split"].tolist() == ["test", "test"]
    counts = frame["split"].value_counts()
    assert counts["test"] == 3
    assert counts["val"] == 5
    assert set(frame.loc[frame["split"] == "val", "label"]) == {"positive", "negative"}
    assert read_covidx(tmp_path, val_share=0.2, seed=4).equals(frame)


def test_the_first_edition_has_three_columns_and_kermany_s_patients(tmp_path):
    lists = {
        "train_split.txt": [
            "3 SARS-day0.jpeg viral",
            *(f"1000{n} IM-{n}-0001.jpeg normal" for n in range(200, 220)),
        ],
        "test_split.txt": ["4 a.png COVID-19", "20 person1_virus_6.jpeg viral", "5 b.jpg bacteria"],
        "val_split.txt": ["9 c.png pneumonia"],
    }
    frame = read_covidx(covidx_folder(tmp_path, lists)).set_index("file")
    assert frame.loc["train/SARS-day0.jpeg", "source"] == "covidx-unnamed"
    assert frame.loc["train/IM-203-0001.jpeg", "patient"] == "normal-IM-203"
    assert frame.loc["test/person1_virus_6.jpeg", "patient"] == "virus-person1"
    assert frame["split"].value_counts().to_dict() == {"train": 21, "test": 3, "val": 1}


def test_several_editions_require_a_list(tmp_path):
    covidx_folder(tmp_path)
    covidx_folder(tmp_path, {"train_COVIDx9A.txt": ["1 z.png COVID-19 cohen", "2 y.png normal rsna"]})
    with pytest.raises(SourceError, match="train_COVIDx8B.txt, train_COVIDx9A.txt for train.*--train-list"):
        read_covidx(tmp_path)
    frame = read_covidx(tmp_path, lists={"train": tmp_path / "train_COVIDx9A.txt"})
    assert set(frame["file"]) >= {"train/z.png", "test/47c78742-4998.png"}
    assert len(frame) == 4


@pytest.mark.parametrize("line", ["1 a.png", "a.png", "1 a.png tuberculosis cohen", "1 a.png COVID"])
def test_invalid_lines_are_rejected_with_their_number(tmp_path, line):
    covidx_folder(tmp_path)
    path = tmp_path / "test_COVIDx8B.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(SourceError, match="test_COVIDx8B.txt, line 3"):
        read_covidx(tmp_path)


def test_missing_lists_and_files_are_errors(tmp_path):
    with pytest.raises(SourceError, match="without a list for train and test"):
        read_covidx(tmp_path)
    covidx_folder(tmp_path)
    with pytest.raises(SourceNotFoundError, match="nowhere.txt, which is not a file"):
        read_covidx(tmp_path, lists={"train": tmp_path / "nowhere.txt"})
    (tmp_path / "train" / "cohen-7.jpeg").unlink()
    with pytest.raises(SourceError, match="1 of 27 are missing: train/cohen-7.jpeg"):
        read_covidx(tmp_path)
    with pytest.warns(SourceWarning, match="missing and were left out: train/cohen-7.jpeg"):
        assert len(read_covidx(tmp_path, on_error="skip")) == 26
    path = tmp_path / "test_COVIDx8B.txt"
    path.write_text(path.read_text() + COVIDX_LISTS["test_COVIDx8B.txt"][1])
    with pytest.raises(SourceError, match="listed once. Received: test/47c78742-4998.png"):
        read_covidx(tmp_path)
    path.write_bytes("1 é.png positive cohen".encode("latin-1"))
    with pytest.raises(SourceError, match="UTF-8"):
        read_covidx(tmp_path)
    for name in COVIDX_LISTS:
        (tmp_path / name).write_text("\n \n")
    with pytest.raises(SourceError, match="all empty"):
        read_covidx(tmp_path)


@pytest.mark.parametrize("share", [0, 1, -1, float("nan")])
def test_a_val_share_out_of_range_is_rejected(tmp_path, share):
    with pytest.raises(ValueError, match="between 0 and 1. Received"):
        read_covidx(tmp_path, val_share=share)
