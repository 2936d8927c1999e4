"""The lungs that a cascade found, as a DICOM Segmentation."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.sr import CodedConcept

from semenet.serving.dicom_results.concepts import (
    ARTIFICIAL_INTELLIGENCE,
    BOTH_SIDES,
    LUNGS,
    ORGAN,
    as_concept,
)
from semenet.serving.dicom_results.finding import MANUFACTURER, MODEL, ImageFinding

SERIES_NUMBER = 9101


def lung_segmentation(finding: ImageFinding) -> Segmentation:
    """Returns the Segmentation object of one image: a single segment with both lungs.

    Args:
        finding: the answer for the image, with `lungs`.
    """
    name, sha256 = finding.networks["lungs"]
    algorithm = AlgorithmIdentificationSequence(
        name=name,
        family=ARTIFICIAL_INTELLIGENCE,
        version=finding.version,
        source=MANUFACTURER,
        parameters={"sha256": sha256},
    )
    description = SegmentDescription(
        segment_number=1,
        segment_label="Lungs",
        segmented_property_category=ORGAN,
        segmented_property_type=LUNGS,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=finding.uid("lungs"),
        tracking_id="Lungs",
    )
    sides: CodedConcept = as_concept(BOTH_SIDES)
    description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [sides]
    segmentation = Segmentation(
        source_images=[finding.source],
        pixel_array=finding.lungs.astype(np.uint8)[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=finding.uid("series of lungs"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=finding.uid("segmentation"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=finding.version,
        device_serial_number="none",
        content_label="LUNGS",
        content_description="Lungs. Research use only, not for diagnosis.",
        series_description="semenet: lungs (research use only)",
        omit_empty_frames=False,
    )
    segmentation.PatientOrientation = list(finding.orientation)
    return segmentation
