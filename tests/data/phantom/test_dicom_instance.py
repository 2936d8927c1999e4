import csv

import numpy as np
import pydicom
import pytest
from dicom_validation import validation_errors

import semenet
from semenet.cli.main import main
from semenet.data.phantom.dicom_instance import dicom_instance
from semenet.data.phantom.frontal import draw_radiograph


def test_a_phantom_is_a_valid_dx_instance_with_the_same_pixels(tmp_path):
    image = draw_radiograph("virus", size=64).image
    file = tmp_path / "phantom.dcm"
    file.write_bytes(dicom_instance(image, "patient-1", number=3))
    assert validation_errors(file) == []
    np.testing.assert_array_equal(semenet.read_image(file), image)
    header = pydicom.dcmread(file)
    assert (header.Modality, header.PatientID, header.InstanceNumber) == ("DX", "patient-1", 4)


def test_images_of_a_patient_share_the_study_and_have_identifiers_of_their_own():
    image = np.zeros((64, 64), np.uint8)

    def uids(*arguments):
        header = pydicom.dcmread(pydicom.filebase.DicomBytesIO(dicom_instance(image, *arguments)))
        return header.StudyInstanceUID, header.SOPInstanceUID

    first, second, other = uids("a", 0), uids("a", 1), uids("b", 0)
    assert first[0] == second[0] != other[0]
    assert len({first[1], second[1], other[1]}) == 3
    assert dicom_instance(image, "a") == dicom_instance(image, "a")


def test_an_image_in_colour_is_refused():
    with pytest.raises(semenet.SemenetError, match=r"uint8 \(H, W\). Received: uint8 \(8, 8, 3\)"):
        dicom_instance(np.zeros((8, 8, 3), np.uint8), "a")


def test_the_command_writes_dicom_and_replaces_it_by_png(tmp_path):
    folder = tmp_path / "phantoms"
    main(["phantom", str(folder), "--count", "9", "--size", "64", "--dicom"])
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"images/{number:06d}.dcm" for number in range(9)]
    assert {path.suffix for path in (folder / "masks").iterdir()} == {".png"}
    first = draw_radiograph("normal", size=64, seed=(0, 0), patient=(0, 0), marker=rows[0]["marker"]).image
    np.testing.assert_array_equal(semenet.read_image(folder / rows[0]["file"]), first)
    main(["phantom", str(folder), "--count", "9", "--size", "64"])
    assert {path.suffix for path in (folder / "images").iterdir()} == {".png"}
