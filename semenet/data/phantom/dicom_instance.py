"""Phantoms as valid DICOM instances, as a digital X-ray device would send them to an archive."""

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np

from semenet.errors import SemenetError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_ROOT = "2.25."
_DATE, _TIME = "20200101", "120000"
# The detector has this width in millimetres, whatever its number of pixels.
_DETECTOR_WIDTH = 400.0


def dicom_instance(image: np.ndarray, patient: str, number: int = 0, study: str = "1") -> bytes:
    """Encodes a radiograph as a DX image "for presentation": frontal, posterior-anterior, of the chest.

    Args:
        image: uint8 `(H, W)` in [0, 255], 0 is black.
        patient: identifier of the patient, at most 64 characters.
        number: the image's number in its series, 0 or more.
        study: identifier of the patient's study, at most 16 characters.

    Returns:
        The bytes of the file. Equal arguments give equal bytes.

    Raises:
        SemenetError: the image has another shape or dtype.

    Example:
        >>> from semenet.data.phantom import dicom_instance, draw_radiograph
        >>> contents = dicom_instance(draw_radiograph("normal", size=64).image, "patient-1")
        >>> contents[128:132]
        b'DICM'

    Reference:
        DICOM PS3.3, A.26, Digital X-Ray Image IOD.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    image = np.asarray(image)
    if image.ndim != 2 or image.dtype != np.uint8:
        raise SemenetError(
            f"A phantom must be uint8 (H, W). Received: {image.dtype} {image.shape}. Use draw_radiograph."
        )

    def uid(*parts: object) -> str:
        digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
        return _ROOT + str(int.from_bytes(digest[:16], "big"))

    spacing = round(_DETECTOR_WIDTH / image.shape[1], 4)
    instance = Dataset()
    instance.SOPClassUID = DigitalXRayImageStorageForPresentation
    instance.SOPInstanceUID = uid("image", patient, study, number, hashlib.sha256(image).hexdigest())
    instance.StudyInstanceUID = uid("study", patient, study)
    instance.SeriesInstanceUID = uid("series", patient, study)
    instance.StudyDate = instance.SeriesDate = instance.AcquisitionDate = instance.ContentDate = _DATE
    instance.StudyTime = instance.SeriesTime = instance.AcquisitionTime = instance.ContentTime = _TIME
    instance.AccessionNumber, instance.ReferringPhysicianName, instance.StudyID = "", "", study
    instance.PatientID, instance.PatientName = patient, f"PHANTOM^{patient}"
    instance.PatientBirthDate, instance.PatientSex = "", "O"
    instance.Modality, instance.PresentationIntentType = "DX", "FOR PRESENTATION"
    instance.Manufacturer, instance.ManufacturerModelName = "semenet", "phantom"
    instance.SeriesDescription = "Synthetic radiograph, of no patient"
    instance.SeriesNumber, instance.InstanceNumber = 1, number + 1
    instance.ImageType = ["DERIVED", "PRIMARY"]
    instance.PatientOrientation, instance.ViewPosition = ["L", "F"], "PA"
    instance.ImageLaterality, instance.BodyPartExamined = "U", "CHEST"
    instance.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
    instance.ViewCodeSequence = [_code("272479007", "SCT", "posteroanterior")]
    instance.ViewCodeSequence[0].ViewModifierCodeSequence = []
    instance.AcquisitionContextSequence = []
    instance.PatientOrientationCodeSequence = [_code("10904000", "SCT", "erect")]
    instance.PositionerType = "NONE"
    instance.DetectorType, instance.ImagerPixelSpacing = "DIRECT", [spacing, spacing]
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Rows, instance.Columns = image.shape
    instance.BitsAllocated = instance.BitsStored = 8
    instance.HighBit, instance.PixelRepresentation = 7, 0
    instance.PixelIntensityRelationship, instance.PixelIntensityRelationshipSign = "LOG", -1
    instance.RescaleIntercept, instance.RescaleSlope, instance.RescaleType = 0, 1, "US"
    instance.PresentationLUTShape = "IDENTITY"
    instance.WindowCenter, instance.WindowWidth = 128, 256
    instance.LossyImageCompression, instance.BurnedInAnnotation = "00", "NO"
    pixels = image.tobytes()
    instance.PixelData = pixels + b"\0" * (len(pixels) % 2)
    instance["PixelData"].VR = "OB"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    stream = io.BytesIO()
    instance.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _code(value: str, scheme: str, meaning: str) -> "Dataset":
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
