import importlib.util

import numpy as np
import pydicom
import pytest
from hand_made_networks import hand_made_cascade

import semenet
from semenet.cli.main import main
from semenet.data.phantom.dicom_instance import dicom_instance
from semenet.data.phantom.frontal import draw_radiograph
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.prediction import cascade_predictions


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    return hand_made_cascade(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def folder(tmp_path):
    """Two DICOM images, one of them without the identifier of its study, and a PNG file."""
    path = tmp_path / "images"
    path.mkdir()
    image = draw_radiograph("virus", size=64).image
    (path / "a.dcm").write_bytes(dicom_instance(image, "patient-a"))
    (path / "b.dcm").write_bytes(dicom_instance(image, "patient-b"))
    header = pydicom.dcmread(path / "b.dcm")
    del header.StudyInstanceUID
    header.save_as(path / "b.dcm")
    from semenet.inference.heat_maps.overlays import encode_image

    (path / "c.png").write_bytes(encode_image(image))
    return path


def test_the_command_writes_objects_beside_the_table(cascade, folder, tmp_path, capsys):
    out = tmp_path / "objects"
    main(["predict", str(cascade), str(folder), "--out", str(tmp_path / "p.csv"), "--dicom-out", str(out)])
    assert sorted(path.name for path in out.iterdir()) == [
        f"a_{name}.dcm" for name in ("lungs", "report", "stage1", "stage2")
    ]
    told = capsys.readouterr().err
    assert "no DICOM results for 2 of 3 images, first" in told
    assert "b.dcm, which has no StudyInstanceUID" in told
    lungs = pydicom.dcmread(out / "a_lungs.dcm")
    assert (lungs.PatientID, lungs.Rows, lungs.Columns) == ("patient-a", 64, 64)
    expected = Cascade.open(cascade).predict(folder / "a.dcm").lung_masks[0]
    assert lungs.pixel_array.mean() == pytest.approx(expected.mean(), abs=0.05)
    # The same images with the table alone give the same rows.
    main(["predict", str(cascade), str(folder), "--out", str(tmp_path / "q.csv")])
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "q.csv").read_bytes()


def test_a_call_that_resumes_adds_the_objects_that_are_missing(cascade, folder, tmp_path, monkeypatch):
    (folder / "b.dcm").unlink()
    (folder / "c.png").rename(folder / "d.png")
    read = []
    original = Cascade.prepare_file
    monkeypatch.setattr(
        Cascade, "prepare_file", lambda self, path: read.append(path.name) or original(self, path)
    )
    table, out = tmp_path / "p.csv", tmp_path / "objects"

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(cascade_predictions, "_report_errors", fail)
        with pytest.raises(KeyboardInterrupt):
            semenet.predict(cascade, folder, table)
    semenet.predict(cascade, folder, table, dicom_out=out)
    assert sorted(read) == ["a.dcm", "a.dcm", "d.png", "d.png"]
    assert (out / "a_report.dcm").exists()


def test_a_single_network_and_a_missing_package_are_told(cascade, folder, tmp_path, monkeypatch):
    with pytest.raises(semenet.SemenetError, match="DICOM results are those of a cascade"):
        semenet.predict("seme_resnet50:none", folder, dicom_out=tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "highdicom" else find(name, *rest)
    )
    with pytest.raises(semenet.SemenetError, match=r"pip install 'semenet\[dicom\]'"):
        semenet.predict(cascade, folder, dicom_out=tmp_path / "objects")
    assert not (tmp_path / "objects").exists()


def test_pictures_show_the_image_of_their_source(cascade, folder, tmp_path):
    semenet.predict(cascade, folder / "a.dcm", dicom_out=tmp_path / "objects")
    picture = pydicom.dcmread(tmp_path / "objects" / "a_stage1.dcm").pixel_array
    image = semenet.read_image(folder / "a.dcm").repeat(5, axis=0).repeat(5, axis=1)
    grey = picture[: len(image)].mean(axis=2)
    assert np.corrcoef(grey.ravel(), image.ravel())[0, 1] > 0.8
