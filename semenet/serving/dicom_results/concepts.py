"""Coded concepts of the results: SNOMED CT and DICOM where they have one, else codes of our own."""

from __future__ import annotations

import zlib

from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from semenet.serving.dicom_results.finding import MANUFACTURER

SCHEME = "99SEMENET"
LUNGS = codes.SCT.Lung
BOTH_SIDES = codes.SCT.RightAndLeft
ORGAN = codes.SCT.BodyStructure
ARTIFICIAL_INTELLIGENCE = codes.cid7162.ArtificialIntelligence
CHEST_RADIOGRAPHY = Code("399208008", "SCT", "Plain chest X-ray")
PROBABILITY_UNIT = codes.UCUM.NoUnits

_CLASSES = {
    "normal": codes.SCT.Normal,
    "bacteria": Code("53084003", "SCT", "Bacterial pneumonia"),
    "virus": Code("75570004", "SCT", "Viral pneumonia"),
    "other_viral": Code("75570004", "SCT", "Viral pneumonia"),
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "other_pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "COVID-19": Code("840539006", "SCT", "COVID-19"),
}
# A code value has at most 16 characters, a meaning 64 (PS3.3, table 8.8-1).
_VALUE_LENGTH, _MEANING_LENGTH = 16, 64


def class_concept(name: str) -> CodedConcept:
    """Returns the concept of a class: that of SNOMED CT for the zoo's classes, else one of our own."""
    code = _CLASSES.get(name)
    return own_concept(f"CLASS {name}", name) if code is None else as_concept(code)


def own_concept(value: str, meaning: str) -> CodedConcept:
    """Returns a concept of the private scheme `SCHEME`.

    Args:
        value: the code value; of a longer one its start and a digest remain.
        meaning: what a person reads.
    """
    if len(value) > _VALUE_LENGTH:
        value = f"{value[:7]}~{zlib.crc32(value.encode()):08x}"
    return CodedConcept(value=value, scheme_designator=SCHEME, meaning=meaning[:_MEANING_LENGTH])


def as_concept(code: Code) -> CodedConcept:
    """Returns a code as a concept."""
    return CodedConcept(value=code.value, scheme_designator=code.scheme_designator, meaning=code.meaning)


def private_scheme() -> Dataset:
    """Returns the item that names the private scheme in an object that uses it."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "semenet: classes, probabilities and flags of its networks"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item
