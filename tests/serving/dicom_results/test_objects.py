import dataclasses
import io

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_validation import validation_errors

from semenet.data.phantom.dicom_instance import dicom_instance
from semenet.data.phantom.frontal import draw_radiograph
from semenet.serving.dicom_results.captures import WARNING, heat_map_captures, with_lines
from semenet.serving.dicom_results.concepts import class_concept, own_concept
from semenet.serving.dicom_results.finding import DicomResultError, ImageFinding, read_header
from semenet.serving.dicom_results.lung_segmentation import lung_segmentation
from semenet.serving.dicom_results.structured_report import structured_report

NETWORKS = {
    "stage1": ("seme_resnet50:hospitals", "a" * 64),
    "lungs": ("unet:lung", "b" * 64),
    "stage2": ("seme_densenet169:hospitals", "c" * 64),
}


@pytest.fixture(scope="module")
def finding():
    phantom = draw_radiograph("bacteria", size=96)
    source = read_header("source.dcm", dicom_instance(phantom.image, "patient-1"))
    picture = np.repeat(phantom.image[..., np.newaxis], 3, axis=2)
    return ImageFinding(
        source=source,
        lungs=phantom.lungs > 0,
        probabilities={"normal": 0.1, "bacteria": 0.6, "other_viral": 0.2, "COVID-19": 0.1},
        stages={
            "stage1": {"normal": 0.1, "bacteria": 0.6, "virus": 0.3},
            "stage2": {"other_viral": 0.7, "COVID-19": 0.3},
        },
        predicted="abstain",
        reason="abstain_stage1",
        input_flags=(),
        lung_flags=("area",),
        pictures={"stage1": picture, "stage2": picture},
        version="0.1.0",
        networks=NETWORKS,
    )


def saved(written, file):
    written.save_as(file)
    return pydicom.dcmread(file)


def refers_to(written, source):
    """Whether an object names the image in any of its sequences."""
    return any(
        element.keyword == "ReferencedSOPInstanceUID" and element.value == source.SOPInstanceUID
        for element in written.iterall()
    )


def test_all_objects_are_valid_and_belong_to_the_image_s_study_and_patient(finding, tmp_path):
    objects = [lung_segmentation(finding), structured_report(finding), *heat_map_captures(finding)]
    for number, written in enumerate(objects):
        file = tmp_path / f"{number}.dcm"
        read = saved(written, file)
        assert validation_errors(file) == []
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientSex", "StudyID"):
            assert read[keyword].value == finding.source[keyword].value
        assert read.SeriesInstanceUID != finding.source.SeriesInstanceUID
        assert refers_to(read, finding.source)
        assert "research use only" in read.SeriesDescription
    assert len({written.SOPInstanceUID for written in objects}) == 4
    assert len({written.SeriesInstanceUID for written in objects}) == 3


def test_the_segmentation_holds_the_lungs_and_names_the_network(finding, tmp_path):
    lung_segmentation(finding).save_as(tmp_path / "lungs.dcm")
    read = highdicom.seg.segread(tmp_path / "lungs.dcm")
    np.testing.assert_array_equal(read.pixel_array > 0, finding.lungs)
    (segment,) = read.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung"
    sides = segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert sides[0].CodeMeaning.startswith("Right and left")
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("unet:lung", "0.1.0")
    assert NETWORKS["lungs"][1] in algorithm.AlgorithmParameters


def test_an_empty_lung_mask_is_written_too(finding, tmp_path):
    empty = dataclasses.replace(finding, lungs=np.zeros_like(finding.lungs))
    file = tmp_path / "lungs.dcm"
    assert not saved(lung_segmentation(empty), file).pixel_array.any()
    assert validation_errors(file) == []


def test_the_report_holds_probabilities_decision_flags_and_networks(finding, tmp_path):
    structured_report(finding).save_as(tmp_path / "report.dcm")
    read = highdicom.sr.srread(tmp_path / "report.dcm")
    groups = read.content.get_image_measurement_groups()
    assert len(groups) == 3
    joint, first, second = (
        {item.name.meaning: item.value for item in group.get_measurements()} for group in groups
    )
    assert joint == {
        "Probability of normal": 0.1,
        "Probability of bacteria": 0.6,
        "Probability of other_viral": 0.2,
        "Probability of COVID-19": 0.1,
    }
    assert first["Probability of virus"] == 0.3
    assert second == {"Probability of other_viral": 0.7, "Probability of COVID-19": 0.3}
    told = {item.name.meaning: item.value.meaning for item in groups[0].get_qualitative_evaluations()}
    assert told == {
        "Algorithm Family": "Artificial Intelligence",
        "Decision of the cascade": "No answer: not sure enough",
        "Reason of the decision": "abstain_stage1",
        "Intended use": "Research use only, not for diagnosis",
        "Check that the lung mask failed": "area",
    }
    text = read.to_json()
    assert all(sha256 in text for _, sha256 in NETWORKS.values())


def test_a_rejected_image_has_a_report_without_probabilities(finding, tmp_path):
    rejected = dataclasses.replace(
        finding,
        lungs=None,
        probabilities={},
        stages={},
        pictures={},
        predicted="rejected",
        reason="not_frontal",
        input_flags=("not_frontal",),
        lung_flags=(),
    )
    file = tmp_path / "report.dcm"
    structured_report(rejected).save_as(file)
    assert validation_errors(file) == []
    (group,) = highdicom.sr.srread(file).content.get_image_measurement_groups()
    assert group.get_measurements() == []
    told = {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
    assert told["Decision of the cascade"] == "Rejected by the input gate"
    assert told["Finding of the input gate"] == "not_frontal"


def test_a_capture_covers_nothing_of_the_radiograph_and_has_the_warning_below(finding):
    first, second = heat_map_captures(finding)
    # Too narrow for the text, it is enlarged four times.
    picture = finding.pictures["stage1"].repeat(4, axis=0).repeat(4, axis=1)
    height = len(picture)
    np.testing.assert_array_equal(first.pixel_array[:height], picture)
    assert first.pixel_array[height:].any()
    assert (first.BurnedInAnnotation, first.InstanceNumber, second.InstanceNumber) == ("YES", 1, 2)
    assert WARNING in first.DerivationDescription
    assert "bacteria" in first.DerivationDescription
    assert "other_viral" in second.DerivationDescription


@pytest.mark.parametrize("width", [40, 2000])
def test_the_warning_fits_into_the_picture(width):
    drawn = with_lines(np.zeros((60, width, 3), np.uint8), (WARNING,))
    below = drawn[-18:]
    assert drawn.shape[1] >= 320
    assert below.max() > 200
    assert not below[:, -3:].any()


def test_identifiers_depend_on_image_networks_and_settings_alone(finding):
    again = dataclasses.replace(finding, predicted="bacteria")
    other = dataclasses.replace(finding, networks=NETWORKS | {"stage2": ("own", "d" * 64)})
    assert structured_report(again).SOPInstanceUID == structured_report(finding).SOPInstanceUID
    assert structured_report(other).SOPInstanceUID != structured_report(finding).SOPInstanceUID
    # Another calibration gives other probabilities, which must not pass for the first ones.
    calibrated = dataclasses.replace(finding, settings="another temperature")
    assert structured_report(calibrated).SOPInstanceUID != structured_report(finding).SOPInstanceUID


def test_the_codes_are_those_of_the_dictionaries(finding):
    (segment,) = lung_segmentation(finding).SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    # 123109, next to it, is manual processing.
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "39607008"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"


def test_a_class_of_others_gets_a_code_of_our_own():
    assert class_concept("COVID-19").scheme_designator == "SCT"
    own = class_concept("interstitial lung disease")
    assert (own.scheme_designator, own.meaning) == ("99SEMENET", "interstitial lung disease")
    assert len(own.value) <= 16
    assert own_concept("CLASS interstitial a", "a").value != own_concept("CLASS interstitial b", "b").value


def test_an_image_without_identifiers_is_refused():
    dataset = pydicom.dcmread(io.BytesIO(dicom_instance(np.zeros((32, 32), np.uint8), "a")))
    del dataset.StudyInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(DicomResultError, match="Received: one.dcm, which has no StudyInstanceUID"):
        read_header("one.dcm", stream.getvalue())


def test_a_de_identified_source_stays_so(finding):
    source = read_header("x", dicom_instance(np.zeros((32, 32), np.uint8), "a"))
    source.PatientIdentityRemoved, source.DeidentificationMethod = "YES", "cleaned"
    source.PatientName = source.PatientID = ""
    report = structured_report(dataclasses.replace(finding, source=source))
    assert (report.PatientIdentityRemoved, report.DeidentificationMethod) == ("YES", "cleaned")
    assert (str(report.PatientName), report.PatientID) == ("", "")
