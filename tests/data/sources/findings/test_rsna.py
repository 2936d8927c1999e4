import pytest
from finding_folders import rsna_folder

from semenet.data.images.reading import read_image
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.findings.rsna import MAPPING, read_rsna
from semenet.data.sources.source_rows import SourceError, SourceWarning

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")
BOXED = "00436515-870c-4b36-a041-de91049b9ab4"


def test_an_image_with_several_boxes_is_one_row(tmp_path):
    frame = read_rsna(rsna_folder(tmp_path))
    assert len(frame) == 5
    row = frame[frame["file"] == f"stage_2_train_images/{BOXED}.dcm"].iloc[0]
    assert row["boxes"] == "264 152 213 379;562 152 256 453"
    assert row[["label", "view", "sex", "age"]].tolist() == ["pneumonia", "AP", "M", "41"]
    assert row[["Lung Opacity", "Normal", "No Lung Opacity / Not Normal"]].tolist() == ["1", "0", "0"]
    assert sorted(frame["label"]) == ["normal", "normal", "other", "pneumonia", "pneumonia"]
    assert (frame["boxes"] != "").sum() == 2
    assert read_image(tmp_path / row["file"]).shape == (12, 10)


def test_the_mapping_tells_the_patients_of_chestx_ray14(tmp_path):
    frame = read_rsna(rsna_folder(tmp_path))
    assert (frame["patient"] == "nih-00000013").sum() == 2
    assert frame.loc[frame["patient"] == "nih-00000013", "split"].nunique() == 1
    assert "00000013_006.png" in set(frame["nih_image"])
    (tmp_path / MAPPING).rename(tmp_path / "other.json")
    with pytest.warns(SourceWarning, match="every image counts as its own patient"):
        alone = read_rsna(tmp_path)
    assert alone["patient"].nunique() == 5
    assert f"rsna-{BOXED}" in set(alone["patient"])
    assert read_rsna(tmp_path, mapping=tmp_path / "other.json").equals(frame)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(SourceError, match="without 5 of 5"):
        read_rsna(tmp_path, mapping=tmp_path / "other.json")
    (tmp_path / "other.json").write_text("{")
    with pytest.raises(SourceError, match="JSON list"):
        read_rsna(tmp_path, mapping=tmp_path / "other.json")


def test_missing_files_are_named_whatever_their_view(tmp_path):
    rsna_folder(tmp_path)
    (tmp_path / "stage_2_train_images" / f"{BOXED}.dcm").unlink()
    rules = RowRules(views=("PA",), on_missing="skip")
    with pytest.warns(SourceWarning, match=f"1 listed files are missing and were left out: .*{BOXED}"):
        frame = read_rsna(tmp_path, rules=rules)
    assert frame["view"].tolist() == ["PA"] * 3
    with pytest.raises(SourceError, match="1 of 5 are missing"):
        read_rsna(tmp_path, rules=RowRules(views=("PA",)))


def test_a_damaged_image_is_named(tmp_path):
    rsna_folder(tmp_path)
    (tmp_path / "stage_2_train_images" / f"{BOXED}.dcm").write_bytes(b"no DICOM file")
    with pytest.raises(SourceError, match=f"must be a DICOM file.*{BOXED}"):
        read_rsna(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",Normal\n", ",Healthy\n", "has other classes: Healthy"),
        (f"{BOXED},Lung Opacity", f"{BOXED},Normal", "gives an image two classes"),
        ("6bddd6,No Lung Opacity / Not Normal", "6bddd6,Lung Opacity", "disagrees with Target"),
    ],
)
def test_tables_that_disagree_are_rejected(tmp_path, old, new, message):
    rsna_folder(tmp_path)
    path = tmp_path / "stage_2_detailed_class_info.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SourceError, match=message):
        read_rsna(tmp_path)
