import json

import cv2
import numpy as np
import pytest
from source_folders import darwin_1, darwin_2, draw, montgomery_folder, shenzhen_folder, square, v7_folder

from semenet.data.images.errors import ImageError
from semenet.data.images.reading import read_image, read_mask
from semenet.data.sources.nlm_lungs import read_montgomery, read_shenzhen
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, SourceWarning
from semenet.data.sources.v7_darwin import covid_chestxray_patients, read_v7

pytestmark = pytest.mark.filterwarnings("ignore::semenet.data.sources.source_rows.SourceWarning")


def test_montgomery_s_masks_of_both_lungs_are_combined(tmp_path):
    montgomery_folder(tmp_path / "MontgomerySet")
    frame = read_montgomery(tmp_path, masks_out=tmp_path / "out" / "masks")
    assert len(frame) == 9
    assert frame["file"][0] == "MontgomerySet/CXR_png/MCUCXR_0001_0.png"
    assert frame["mask"][0] == "out/masks/MCUCXR_0001_0.png"
    expected = np.zeros((16, 20), np.uint8)
    expected[4:12, 2:8] = expected[4:12, 12:18] = 1
    for file, mask in zip(frame["file"], frame["mask"], strict=True):
        assert read_mask(tmp_path / mask).tolist() == expected.tolist()
        assert read_image(tmp_path / file).shape == expected.shape
    assert cv2.imread(str(tmp_path / frame["mask"][0]), cv2.IMREAD_UNCHANGED).max() == 255


def test_montgomery_s_names_and_readings_are_read(tmp_path):
    frame = read_montgomery(montgomery_folder(tmp_path / "set"), masks_out=tmp_path / "masks").set_index(
        "patient"
    )
    assert frame["label"].value_counts().to_dict() == {"normal": 5, "tuberculosis": 4}
    assert frame.loc["montgomery-0006", ["label", "sex", "age"]].tolist() == ["tuberculosis", "F", "26"]
    assert frame.loc["montgomery-0001", ["label", "sex", "age"]].tolist() == ["normal", "M", "21"]
    assert set(frame["split"]) == {"train", "val", "test"}
    assert set(frame["source"]) == {"montgomery"}


def test_montgomery_s_layout_errors_name_the_file(tmp_path):
    with pytest.raises(SourceError, match="MontgomerySet, with CXR_png in it"):
        read_montgomery(tmp_path, masks_out=tmp_path / "masks")
    folder = montgomery_folder(tmp_path / "set")
    left = folder / "ManualMask" / "leftMask" / "MCUCXR_0003_0.png"
    draw(left, 5, 5, value=255)
    with pytest.raises(SourceError, match=r"same size.*MCUCXR_0003_0.png of \(5, 5\)"):
        read_montgomery(folder, masks_out=tmp_path / "masks")
    left.write_bytes(b"no image")
    with pytest.raises(ImageError, match="MCUCXR_0003_0.png"):
        read_montgomery(folder, masks_out=tmp_path / "masks")
    left.unlink()
    with pytest.raises(SourceError, match=r"without .*leftMask/MCUCXR_0003_0.png\."):
        read_montgomery(folder, masks_out=tmp_path / "masks")
    draw(folder / "CXR_png" / "MCUCXR_0003_2.png")
    with pytest.raises(SourceError, match="like MCUCXR_0001_0.png. Received: .*MCUCXR_0003_2.png"):
        read_montgomery(folder, masks_out=tmp_path / "masks")
    for path in (folder / "CXR_png").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="empty"):
        read_montgomery(folder, masks_out=tmp_path / "masks")


def test_shenzhen_without_masks_has_all_images(tmp_path):
    frame = read_shenzhen(shenzhen_folder(tmp_path / "ChinaSet_AllFiles"))
    assert len(frame) == 9
    assert "mask" not in frame
    assert frame["label"].value_counts().to_dict() == {"normal": 5, "tuberculosis": 4}
    readings = frame.set_index("patient")[["sex", "age"]].head(5).to_numpy().tolist()
    assert readings == [["M", "45"], ["F", "0"], ["F", "32"], ["M", "0"], ["F", "28"]]


def test_shenzhen_with_masks_leaves_out_images_without_a_mask(tmp_path):
    folder = shenzhen_folder(tmp_path / "ChinaSet_AllFiles", tmp_path / "masks" / "mask")
    with pytest.warns(SourceWarning, match=r"1 of 9 images have no mask .*: CHNCXR_0001_0.png\."):
        frame = read_shenzhen(folder, masks=tmp_path / "masks")
    assert len(frame) == 8
    assert frame["mask"][0] == "../masks/mask/CHNCXR_0002_0_mask.png"
    assert all((folder / mask).is_file() for mask in frame["mask"])
    assert frame["license"].str.contains("CC BY-NC-SA").all()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="without a mask for any of 9 images"):
        read_shenzhen(folder, masks=tmp_path / "empty")


def test_unreadable_or_missing_readings_leave_the_cells_empty(tmp_path):
    folder = shenzhen_folder(tmp_path / "set")
    (folder / "ClinicalReadings" / "CHNCXR_0001_0.txt").write_bytes(b"\xff\xfe?")
    (folder / "ClinicalReadings" / "CHNCXR_0002_0.txt").unlink()
    frame = read_shenzhen(folder)
    assert frame.loc[:1, ["sex", "age"]].to_numpy().tolist() == [["", ""], ["", ""]]


def test_v7_s_polygons_are_filled_except_for_holes(tmp_path):
    folder = v7_folder(tmp_path / "v7")
    frame = read_v7(folder, masks_out=tmp_path / "masks").set_index("file")
    expected = np.zeros((40, 60), np.uint8)
    expected[5:31, 5:21] = expected[5:31, 35:51] = 1
    # The inner path is a hole; its outline belongs to the mask.
    expected[11:20, 41:45] = 0
    assert len(frame) == 4
    for mask in frame["mask"]:
        assert read_mask(folder / mask).tolist() == expected.tolist()


def test_v7_s_patients_come_from_names_and_from_the_covid_manifest(tmp_path):
    folder = v7_folder(tmp_path / "v7")
    frame = read_v7(folder, masks_out=tmp_path / "masks").set_index("file")
    wanted = ["label", "patient", "license", "finding"]
    assert frame.loc["images/person81_virus_81.jpeg", wanted].tolist() == [
        "virus",
        "virus-person81",
        "CC BY 4.0",
        "Viral Pneumonia",
    ]
    assert frame.loc["images/1676192.png", wanted].tolist() == [
        "COVID-19",
        "v7-1676192",
        "not stated; masks CC BY 4.0",
        "COVID-19",
    ]
    assert frame.loc["images/IM-0115-0001.jpeg", "patient"] == "normal-IM-0115"
    rows = frame.reset_index().assign(
        file=["images/auntminnie-a.jpeg", "b", "c", "x/nejmc2001573_f1a.jpeg"],
        patient=["covid-2", "b", "c", "covid-4"],
        license="CC BY-NC-SA",
    )
    known = read_v7(folder, masks_out=tmp_path / "masks", patients=covid_chestxray_patients(rows)).set_index(
        "file"
    )
    assert known.loc["images/1676192.png", ["patient", "license"]].tolist() == [
        "covid-2",
        "CC BY-NC-SA; masks CC BY 4.0",
    ]
    assert known.loc["images/nejmc2001573_f1a.jpeg", "patient"] == "covid-4"


def test_v7_s_files_without_lung_or_image_are_counted(tmp_path):
    folder = v7_folder(tmp_path / "v7")
    (folder / "images" / "IM-0115-0001.jpeg").unlink()
    with pytest.warns(SourceWarning) as warned:
        frame = read_v7(folder, masks_out=tmp_path / "masks")
    messages = " ".join(str(warning.message) for warning in warned)
    assert "1 of 5 JSON files have no lung and were left out: e.json" in messages
    assert "1 of 5 JSON files have no image and were left out: IM-0115-0001.jpeg" in messages
    assert len(frame) == 3
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match=r"5 JSON files, 1 without a lung, 4 without an image .*--images"):
        read_v7(folder, masks_out=tmp_path / "masks")


def test_v7_s_images_may_be_elsewhere_under_their_original_names(tmp_path):
    folder = v7_folder(tmp_path / "v7")
    (folder / "images" / "1676192.png").rename(tmp_path / "auntminnie-a.jpeg")
    with pytest.warns(SourceWarning, match="1 of 5 .* have no image .*: auntminnie-a.jpeg"):
        read_v7(folder, masks_out=tmp_path / "masks")
    frame = read_v7(folder, masks_out=tmp_path / "masks", images=(folder, tmp_path))
    assert "../auntminnie-a.jpeg" in frame["file"].tolist()
    draw(tmp_path / "twin" / "auntminnie-a.jpeg")
    with pytest.raises(SourceError, match="must belong to a single file. Received: .*twin"):
        read_v7(folder, masks_out=tmp_path / "masks", images=tmp_path)
    with pytest.raises(SourceNotFoundError, match="nowhere, which is not a folder"):
        read_v7(folder, masks_out=tmp_path / "masks", images=(tmp_path / "nowhere",))


def test_v7_read_again_does_not_use_its_masks_as_images(tmp_path):
    items = {"a": darwin_1("x.png", [[square(5, 5, 20, 30)]])}
    folder = v7_folder(tmp_path / "v7", items)
    first = read_v7(folder, masks_out=folder / "masks")
    assert read_v7(folder, masks_out=folder / "masks").equals(first)
    assert first["file"].tolist() == ["images/x.png"]


def test_the_other_forms_of_a_polygon_are_read(tmp_path):
    outer, inner = square(5, 5, 20, 30), square(10, 10, 15, 20)
    contents = {
        "a": darwin_1("a.png", [[outer, inner]]),
        "b": darwin_2("b.png", [[outer, inner]]),
        "c": darwin_1("c.png", []),
        "d": darwin_1("d.png", []),
    }
    contents["c"]["annotations"] = [{"name": "Lung", "complex_polygon": {"path": [outer, inner]}}]
    contents["d"]["annotations"] = [
        {"name": "lung", "complex_polygon": {"path": outer, "additional_paths": [inner]}},
        {"name": "Ignore", "polygon": {"path": square(0, 0, 59, 39)}},
    ]
    folder = v7_folder(tmp_path / "v7", contents)
    masks = [read_mask(folder / mask) for mask in read_v7(folder, masks_out=tmp_path / "masks")["mask"]]
    assert len(masks) == 4
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    assert not masks[0][12, 12]
    assert masks[0][6, 6]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("image"),
        lambda content: content.pop("annotations"),
        lambda content: content["image"].pop("width"),
        lambda content: content["annotations"][0].pop("polygon"),
        lambda content: content["annotations"][0]["polygon"].update(path=[]),
        lambda content: content["annotations"][0]["polygon"].update(path=[{"x": 1}]),
        lambda content: content["image"].update(height="tall"),
        lambda content: content["image"].update(height=0),
        lambda content: content["annotations"][0]["polygon"]["path"][0].update(x=float("nan")),
    ],
)
def test_an_invalid_json_file_is_named(tmp_path, damage):
    folder = v7_folder(tmp_path / "v7")
    content = darwin_1("z.png", [[square(1, 1, 5, 5)]])
    damage(content)
    (folder / "z.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match="z.json: "):
        read_v7(folder, masks_out=tmp_path / "masks")


def test_folders_without_v7_s_layout_are_rejected(tmp_path):
    with pytest.raises(SourceError, match="one Darwin JSON file per image"):
        read_v7(tmp_path, masks_out=tmp_path / "masks")
    folder = v7_folder(tmp_path / "v7")
    annotations = folder / "releases" / "all-images" / "annotations"
    (annotations / "again.json").write_text((annotations / "a.json").read_text())
    with pytest.raises(SourceError, match="images/person81_virus_81.jpeg has several"):
        read_v7(folder, masks_out=tmp_path / "masks")
    (annotations / "again.json").write_text("[1, 2")
    with pytest.raises(SourceError, match="again.json: .*it is not JSON"):
        read_v7(folder, masks_out=tmp_path / "masks")
    (annotations / "again.json").write_text("[1, 2]")
    with pytest.raises(SourceError, match="again.json: "):
        read_v7(folder, masks_out=tmp_path / "masks")
