import numpy as np
import pytest
from source_folders import COVID_HEADER, COVID_ROWS, FIRST_COVID_HEADER, covid_folder

from semenet.data.sources.covid_chestxray import read_covid_chestxray
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def test_frontal_x_rays_with_a_finding_are_used(tmp_path):
    frame = read_covid_chestxray(covid_folder(tmp_path))
    assert frame.set_index("file")[["label", "patient", "view", "finding", "license"]].T.to_dict("list") == {
        "images/ARDSSevere.png": ["Pneumonia", "covid-5", "PA", "Pneumonia", "not stated"],
        "images/SARS-day0.jpeg": ["SARS", "covid-3", "AP", "Pneumonia/Viral/SARS", "not stated"],
        "images/auntminnie-a.jpeg": ["COVID-19", "covid-2", "PA", "Pneumonia/Viral/COVID-19", "CC BY-NC-SA"],
        "images/auntminnie-b.jpeg": [
            "COVID-19",
            "covid-2",
            "AP Supine",
            "Pneumonia/Viral/COVID-19",
            "CC BY-NC-SA",
        ],
        "images/crad-a.PNG": ["COVID-19", "covid-311a", "AP erect", "Pneumonia/Viral/COVID-19", "not stated"],
        "images/crad-b.png": [
            "COVID-19",
            "covid-311b",
            "AP semi erect",
            "Pneumonia/Viral/COVID-19",
            "not stated",
        ],
        "images/klebsiella.jpg": [
            "Klebsiella",
            "covid-7",
            "PA",
            "Pneumonia/Bacterial/Klebsiella",
            "not stated",
        ],
        "images/nejmc2001573_f1a.jpeg": [
            "COVID-19",
            "covid-4",
            "AP",
            "Pneumonia/Viral/COVID-19",
            "not stated",
        ],
        "images/normal-1.jpg": ["No Finding", "covid-6", "PA", "No Finding", "not stated"],
    }
    assert set(frame["source"]) == {"covid-chestxray-dataset"}
    for column, value in {"sex": "F", "age": "61", "offset": "3", "doi": "10.1000/1"}.items():
        assert set(frame[column]) == {value}
    assert frame["location"][0] == "Hôpital, Genève"
    assert list(frame)[:6] == ["file", "label", "patient", "split", "source", "license"]


def test_splits_keep_patients_whole_and_follow_the_seed(tmp_path):
    rows = [(str(n // 3), "Pneumonia/Viral/COVID-19", "PA", "X-ray", "images", f"{n}.png") for n in range(60)]
    covid_folder(tmp_path, rows)
    frame = read_covid_chestxray(tmp_path, seed=1)
    assert (frame.groupby("patient")["split"].nunique() == 1).all()
    assert frame["split"].value_counts().to_dict() == {"train": 42, "val": 9, "test": 9}
    assert read_covid_chestxray(tmp_path, seed=1).equals(frame)
    assert not read_covid_chestxray(tmp_path, seed=2)["split"].equals(frame["split"])


def test_rows_left_out_are_counted(tmp_path):
    with pytest.warns(SourceWarning) as warned:
        read_covid_chestxray(covid_folder(tmp_path))
    (message,) = [str(warning.message) for warning in warned if "15 rows" in str(warning.message)]
    for part in (
        "3 without a finding",
        "2 of another modality than X-ray",
        "1 of other views than frontal ones",
    ):
        assert part in message


def test_views_findings_and_modality_are_options(tmp_path):
    covid_folder(tmp_path)
    lateral = read_covid_chestxray(tmp_path, views=("l",))
    assert lateral["file"].tolist() == ["images/nejmoa2001191_f1-L.jpeg"]
    slices = read_covid_chestxray(tmp_path, views=("Axial", "Coronal"), modality="CT")
    assert slices["file"].tolist() == ["images/jkms-d.jpg"], "a volume is not an image"
    assert set(read_covid_chestxray(tmp_path, findings=("covid-19",))["label"]) == {"COVID-19"}
    with pytest.raises(
        SourceError, match="requested views .*Received: Sagittal for .* Choose among: AP, AP Supine"
    ):
        read_covid_chestxray(tmp_path, views=("Sagittal",))
    with pytest.raises(
        SourceError, match="requested findings .*Received: MERS for .* Choose among: COVID-19, Klebsiella"
    ):
        read_covid_chestxray(tmp_path, findings=("MERS",))
    with pytest.raises(SourceError, match="with 15 rows: .* of other views than Axial left out"):
        read_covid_chestxray(tmp_path, views=("Axial",))


def test_the_first_editions_are_read(tmp_path):
    """No modality, no folder, "Patientid", a space before url, and two findings in one cell."""
    rows = [
        ("1", "COVID-19", "PA", "", "images", "a.jpg"),
        ("2", "COVID-19, ARDS", "PA", "", "images", "b.jpg"),
        ("3", "SARS", "PA", "", "images", "c.jpg"),
        ("4", "COVID-19", "CT", "", "images", "d.jpg"),
        ("5", "COVID-19", "L", "", "images", "e.jpg"),
    ]
    frame = read_covid_chestxray(covid_folder(tmp_path, rows, FIRST_COVID_HEADER, encoding="utf-8-sig"))
    assert frame["label"].tolist() == ["COVID-19", "COVID-19", "SARS"]
    assert frame["patient"].tolist() == ["covid-1", "covid-2", "covid-3"]
    assert set(frame["url"]) == {"https://example.org/1"}


def test_missing_files_are_named_and_left_out_only_on_request(tmp_path):
    covid_folder(tmp_path, missing=("crad-b.png", "klebsiella.jpg"))
    with pytest.raises(SourceError, match=r"2 of 9 are missing: images/crad-b.png, images/klebsiella.jpg\."):
        read_covid_chestxray(tmp_path)
    with pytest.warns(SourceWarning, match="2 listed files are missing .*crad-b.png, images/klebsiella.jpg"):
        frame = read_covid_chestxray(tmp_path, on_error="skip")
    assert len(frame) == 7
    with pytest.raises(ValueError, match="Received: 'ignore'"):
        read_covid_chestxray(tmp_path, on_error="ignore")
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="9 of 9 are missing"):
        read_covid_chestxray(tmp_path, on_error="skip")


def test_rare_findings_share_a_stratum(tmp_path):
    """The real table has findings with a single patient."""
    with pytest.warns(SourceWarning, match="fewer patients than there are splits.* Klebsiella, No Finding"):
        frame = read_covid_chestxray(covid_folder(tmp_path))
    assert set(frame["split"]) == {"train", "val", "test"}
    with pytest.warns(
        SourceWarning, match="2 patients are too few for the splits train, val, test: all are in train"
    ):
        frame = read_covid_chestxray(covid_folder(tmp_path / "two", COVID_ROWS[:3]))
    assert set(frame["split"]) == {"train"}


def test_an_invalid_table_is_an_error(tmp_path):
    with pytest.raises(SourceNotFoundError, match="metadata.csv, which is not a file"):
        read_covid_chestxray(tmp_path)
    covid_folder(tmp_path, encoding="latin-1")
    with pytest.raises(SourceError, match="must be comma-separated UTF-8.*0xf4"):
        read_covid_chestxray(tmp_path)
    covid_folder(tmp_path, header=COVID_HEADER.replace("view,", "").replace("finding,", ""))
    with pytest.raises(SourceError, match="without finding, view"):
        read_covid_chestxray(tmp_path)
    covid_folder(tmp_path, header=COVID_HEADER.replace("date", "View"))
    with pytest.raises(SourceError, match="view more than once"):
        read_covid_chestxray(tmp_path)
    covid_folder(tmp_path, [("", *COVID_ROWS[0][1:])])
    with pytest.raises(SourceError, match="1 rows without patientid, the first for 'auntminnie-a.jpeg'"):
        read_covid_chestxray(tmp_path)
    (tmp_path / "metadata.csv").write_text("patientid,finding,view,filename\n1,COVID-19,PA,a.png,b,c\n")
    with pytest.raises(SourceError, match="comma-separated"):
        read_covid_chestxray(tmp_path)


def test_a_file_listed_twice_is_used_once_but_rejected_with_two_patients(tmp_path):
    with pytest.warns(SourceWarning, match="auntminnie-a.jpeg is listed twice"):
        frame = read_covid_chestxray(covid_folder(tmp_path, [*COVID_ROWS, COVID_ROWS[0]]))
    assert not frame["file"].duplicated().any()
    covid_folder(tmp_path, [*COVID_ROWS, ("77", *COVID_ROWS[0][1:])])
    with pytest.raises(SourceError, match="one patient and one finding.*auntminnie-a.jpeg has several"):
        read_covid_chestxray(tmp_path)


def test_the_order_of_the_table_does_not_matter(tmp_path):
    frame = read_covid_chestxray(covid_folder(tmp_path / "a"))
    order = np.random.default_rng(0).permutation(len(COVID_ROWS))
    shuffled = read_covid_chestxray(covid_folder(tmp_path / "b", [COVID_ROWS[index] for index in order]))
    assert shuffled.equals(frame)
