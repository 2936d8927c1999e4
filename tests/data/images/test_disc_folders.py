"""A folder as discs have it: a directory, presentation states and reports among the images."""

import io
import pathlib

import pydicom
import pytest
from dicom_reference import written

from semenet.data.images.errors import ImageError
from semenet.data.images.listing import list_images

DISC = pathlib.Path(pydicom.__file__).parent / "data/test_files"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


def of_class(identifier, syntax="1.2.840.10008.1.2.1"):
    dataset = pydicom.dcmread(io.BytesIO(written(syntax=syntax, drop=["PixelData"])))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = identifier
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_files_without_an_image_are_passed_over_and_counted(tmp_path, capsys):
    (tmp_path / "DICOMDIR").write_bytes((DISC / "dicomdirtests/DICOMDIR").read_bytes())
    (tmp_path / "IMAGES").mkdir()
    for name, contents in {
        "IM0001": written(),
        "IM0002.dcm": written(syntax="1.2.840.10008.1.2.2"),
        "PR0001": of_class(PRESENTATION_STATE),
        "PR0002.DCM": of_class(PRESENTATION_STATE)[132:],
        "SR0001.dcm": of_class(REPORT, "1.2.840.10008.1.2"),
        "SEG001.dcm": of_class(SEGMENTATION),
        "SR0002": of_class(REPORT, "1.2.840.10008.1.2.2"),
    }.items():
        (tmp_path / "IMAGES" / name).write_bytes(contents)
    (tmp_path / "VIEWER.EXE").write_bytes(b"MZ")
    assert [path.name for path in list_images(tmp_path)] == ["IM0001", "IM0002.dcm"]
    shown = capsys.readouterr().err
    assert (
        "Skipped 6 DICOM files without an image: DICOMDIR (1), presentation states (2), reports (2), "
        "segmentations (1)." in shown
    )
    assert ".exe (1)" in shown
    # A file that is named itself is read, and the error says what it is.
    assert len(list_images([tmp_path / "DICOMDIR", tmp_path / "IMAGES" / "SR0001.dcm"])) == 2


def test_a_folder_without_any_image_says_what_it_holds(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes((DISC / "dicomdirtests/DICOMDIR").read_bytes())
    with pytest.raises(ImageError, match=r"none, but 1 DICOM file without an image: DICOMDIR \(1\)"):
        list_images(tmp_path)


def test_the_discs_of_pydicom_list_their_images(capsys):
    assert len(list_images(DISC / "dicomdirtests")) > 30
    assert "DICOMDIR (8)" in capsys.readouterr().err
