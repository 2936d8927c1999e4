"""What a cascade found in one DICOM image, as the objects about it need it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from semenet.errors import SemenetError

if TYPE_CHECKING:
    import numpy as np
    from pydicom import Dataset

MANUFACTURER = "the semenet developers"
MODEL = "semenet"
# The root of UIDs that are derived from a UUID (PS3.5, B.2); it needs no registration.
_ROOT = "2.25."
# What every object copies from its source, or refers to.
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Attributes that may be empty but must be there for objects of the same study to be valid.
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)


class DicomResultError(SemenetError):
    """An image that no DICOM object can refer to."""


@dataclasses.dataclass(frozen=True)
class ImageFinding:
    """The answer of a cascade for one DICOM image.

    Attributes:
        source: the header of the image, without its pixels.
        lungs: bool `(Rows, Columns)`; None for an image that the input gate rejected.
        probabilities: probability in [0, 1] of each class of the joint distribution, by its name; empty for a
            rejected image.
        stages: likewise those of each stage by its name, such as "stage1".
        predicted: a class, "abstain" or "rejected".
        reason: the stage that decided or abstained, or the first code of the input gate.
        input_flags: codes of the input gate.
        lung_flags: checks that the lung mask failed.
        pictures: by stage, uint8 `(H, W, 3)` in RGB: the radiograph with the stage's heat map.
        version: the version of semenet.
        networks: the name and the SHA-256 of each network, by its place in the cascade.
        settings: text of what else the answer depends on: calibrations, input gate and method of the maps.
    """

    source: Dataset
    lungs: np.ndarray | None
    probabilities: Mapping[str, float]
    stages: Mapping[str, Mapping[str, float]]
    predicted: str
    reason: str
    input_flags: tuple[str, ...]
    lung_flags: tuple[str, ...]
    pictures: Mapping[str, np.ndarray]
    version: str
    networks: Mapping[str, tuple[str, str]]
    settings: str = ""

    def uid(self, kind: str) -> str:
        """Returns the UID of an object or a series about this image.

        It is the same whenever the same networks with the same settings answer for the same image, so that an
        archive recognises an object that it already has.

        Args:
            kind: which object or series, such as "report" or "series of reports".
        """
        parts = (
            self.source.SOPInstanceUID,
            *(sha256 for _, sha256 in self.networks.values()),
            self.version,
            self.settings,
            kind,
        )
        digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
        return _ROOT + str(int.from_bytes(digest[:16], "big"))

    @property
    def orientation(self) -> tuple[str, str]:
        """The directions of rows and columns; those of an upright frontal radiograph if not given."""
        given = self.source.get("PatientOrientation") or ()
        return (str(given[0]), str(given[1])) if len(given) == 2 else ("L", "F")

    @property
    def parameters(self) -> list[str]:
        """The networks, a line each, of at most 1024 characters."""
        return [f"{place}={name} sha256={sha256}" for place, (name, sha256) in self.networks.items()]


def read_header(file: str, contents: bytes) -> Dataset:
    """Reads the header of a DICOM image that results are to refer to.

    Args:
        file: the file's name in error messages.
        contents: its bytes. The image must have been read before: its attributes are not checked here.

    Returns:
        The data set without pixels. Attributes of patient and study that may be empty are there.

    Raises:
        DicomResultError: the image has no identifiers that a result could refer to.
    """
    import pydicom

    header = pydicom.dcmread(io.BytesIO(contents), stop_before_pixels=True, force=True)
    missing = [keyword for keyword in _REQUIRED if not header.get(keyword)]
    if missing:
        raise DicomResultError(
            f"DICOM results refer to their image by its identifiers. Received: {file}, which has no "
            f"{', no '.join(missing)}. Use the file as the device or the archive wrote it."
        )
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header
