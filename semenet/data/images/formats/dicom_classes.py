"""DICOM files without a radiograph: directories, presentation states, reports, masks, by their SOP class.

Discs and archives have them among the images.
"""

import re

# Enough for the meta information, or for the first elements of a file without it.
CLASS_BYTES = 2048
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# The SOP classes (PS3.6, annex A) that have no pixels, or only those of masks and maps about other images, by
# the start of their identifiers.
_WITHOUT_IMAGE = {
    "1.2.840.10008.1.3.10": "DICOMDIR",
    "1.2.840.10008.5.1.4.38.": "hanging protocols",
    "1.2.840.10008.5.1.4.39.": "colour palettes",
    _STORAGE + "9.": "waveforms",
    _STORAGE + "11.": "presentation states",
    _STORAGE + "66.1": "registrations",
    _STORAGE + "66.2": "fiducials",
    _STORAGE + "66.4": "segmentations",
    _STORAGE + "66.5": "segmentations",
    _STORAGE + "30": "parametric maps",
    _STORAGE + "67": "value mappings",
    _STORAGE + "88.": "reports",
    _STORAGE + "104.": "documents",
    _STORAGE + "481.3": "treatment structures",
    _STORAGE + "481.5": "treatment plans",
    _STORAGE + "481.8": "treatment plans",
}
# Media Storage SOP Class UID or SOP Class UID, little-endian, with the length of two bytes or of four; then
# the same big-endian.
_CLASS = re.compile(
    rb"(?:\x02\x00\x02\x00|\x08\x00\x16\x00)(?:UI[\x01-\x40]\x00|[\x01-\x40]\x00\x00\x00)([0-9.]+)"
    rb"|\x00\x08\x00\x16UI\x00[\x01-\x40]([0-9.]+)"
)


def kind_without_image(head: bytes) -> str | None:
    """Returns what a DICOM file holds that has no image, in the plural; None for an image, or if unknown.

    Args:
        head: the first `CLASS_BYTES` bytes of a DICOM file, or all of a shorter one.
    """
    found = _CLASS.search(head)
    if found is None:
        return None
    identifier = (found[1] or found[2]).decode("ascii")
    for start, kind in _WITHOUT_IMAGE.items():
        if identifier == start or (start.endswith(".") and identifier.startswith(start)):
            return kind
    return None
