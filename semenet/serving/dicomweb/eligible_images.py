"""Which instances of an archive are radiographs of a chest from the front, as their headers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.sr.codedict import codes

from semenet.serving.dicom_results.finding import MANUFACTURER

if TYPE_CHECKING:
    from pydicom import Dataset

# Computed radiography, digital radiography for presentation, and secondary captures, also multi-frame grey.
RADIOGRAPHS = {
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.7.2",
}
OWN_RESULT = "own_result"
_CHESTS = ("CHEST", "THORAX", "LUNG")
_LATERAL_VIEWS = {"LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL"}
_LATERAL_CODES = {
    codes.SCT.LateralProjection.value,
    codes.SCT.LeftLateralProjection.value,
    codes.SCT.RightLateralProjection.value,
}


def header_objection(header: Dataset) -> str | None:
    """Returns why a header says that an image is no frontal chest radiograph; None if it does not say so.

    Args:
        header: the header of an instance.

    Returns:
        "header_body_part", "header_view", `OWN_RESULT` for a picture that semenet wrote, or None.
    """
    if str(header.get("Manufacturer", "")) == MANUFACTURER:
        return OWN_RESULT
    part = str(header.get("BodyPartExamined") or "").upper()
    if part and not any(name in part for name in _CHESTS):
        return "header_body_part"
    view = str(header.get("ViewPosition") or "").upper()
    views = {str(item.get("CodeValue", "")) for item in header.get("ViewCodeSequence") or ()}
    if view in _LATERAL_VIEWS or "LAT" in view or views & _LATERAL_CODES:
        return "header_view"
    return None
