"""A radiograph with a stage's heat map, as a DICOM Secondary Capture with a warning burnt in."""

from __future__ import annotations

import cv2
import numpy as np
from highdicom import CoordinateSystemNames
from highdicom.sc import SCImage
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from semenet.serving.dicom_results.finding import MANUFACTURER, ImageFinding

SERIES_NUMBER = 9103
WARNING = "RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
LEAST_WIDTH = 320
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
# Height of the band of text, and of its letters, as shares of the shorter side.
_BAND, _LETTERS = 0.05, 0.022


def heat_map_captures(finding: ImageFinding) -> list[SCImage]:
    """Returns one object for each picture of a finding, in one series.

    Args:
        finding: the answer for the image, with `pictures`.
    """
    captures = []
    for number, (stage, picture) in enumerate(finding.pictures.items(), start=1):
        values = finding.stages[stage]
        label = max(values, key=values.get)
        lines = (WARNING, f"semenet {finding.version}, {stage}: heat map for {label}, {values[label]:.2f}")
        capture = SCImage.from_ref_dataset(
            finding.source,
            pixel_array=with_lines(picture, lines),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system=CoordinateSystemNames.PATIENT,
            series_instance_uid=finding.uid("series of heat maps"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=finding.uid(f"heat map of {stage}"),
            instance_number=number,
            manufacturer=MANUFACTURER,
            patient_orientation=finding.orientation,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description="semenet: heat maps (research use only)",
        )
        # With a part of the body that is not paired, no laterality is needed.
        capture.BodyPartExamined = "CHEST"
        capture.BurnedInAnnotation = "YES"
        capture.DerivationDescription = f"Heat map of {stage} for {label}. {WARNING}"
        capture.SourceImageSequence = [_reference(finding.source)]
        captures.append(capture)
    return captures


def with_lines(picture: np.ndarray, lines: tuple[str, ...]) -> np.ndarray:
    """Returns a picture with a black band of text below it: nothing of the radiograph is covered.

    Args:
        picture: uint8 `(H, W, 3)`; enlarged by a whole number where it is too narrow for text.
        lines: lines of ASCII text, shrunk where they would be wider than the picture.
    """
    factor = -(-LEAST_WIDTH // picture.shape[1])
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = picture.shape[:2]
    band, letters = max(18, round(_BAND * min(height, width))), max(9, round(_LETTERS * min(height, width)))
    below = np.full((band * len(lines), width, 3), _BLACK, np.uint8)
    for number, line in enumerate(lines):
        scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, letters)
        (needed, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        scale *= min(1, (width - 8) / needed)
        place = (4, band * number + (band + letters) // 2)
        cv2.putText(below, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([picture, below])


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return reference
