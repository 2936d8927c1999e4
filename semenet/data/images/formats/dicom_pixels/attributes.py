"""Attributes of a DICOM file as they stand in it: missing, empty, too long, or written wrongly.

pydicom reports such an attribute by an error about Python, or makes lists of as many numbers as a hostile
file declares. So they are examined before pydicom converts them.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from semenet.data.images.errors import ImageError, damaged_image

if TYPE_CHECKING:
    from pydicom import Dataset

REQUIRED = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation"),
)
# A look-up table has at most 65,536 entries of two bytes; no other attribute that is read here is longer.
_LONGEST_VALUE = 1 << 18
_SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence")
_LONG_ATTRIBUTES = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Items of sequences and fragments of compressed pixels, in both byte orders. Few files have a thousand.
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_MOST_ITEMS = 20_000

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# With three digits behind it, a comma may also separate thousands, and with more, two numbers.
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d{1,2}")


def check_item_count(contents: bytes, name: str) -> None:
    """Refuses so many items that parsing them takes seconds and gigabytes.

    Args:
        contents: the bytes of a sequence, or of compressed pixels.
        name: the file's name in error messages.

    Raises:
        ImageError: there are more than 20,000 items.
    """
    items = max(contents.count(item) for item in _ITEMS)
    if items > _MOST_ITEMS:
        raise ImageError(
            f"A DICOM image must have at most {_MOST_ITEMS:,} items in a sequence. Received: {name} with "
            f"{items:,}. Check the file's origin, and export the image again."
        )


def check_lengths(dataset: "Dataset", name: str, skip: Iterable[str] = _LONG_ATTRIBUTES) -> None:
    """Refuses attributes that are longer than any of those that are read can be.

    Args:
        dataset: the data set, or an item of a sequence, whose values are not yet converted.
        name: the file's name in error messages.
        skip: keywords of attributes that may have any length.

    Raises:
        ImageError: an attribute is too long, or a sequence has more than 20,000 items.
    """
    from pydicom.tag import Tag

    skipped, sequences = ({Tag(keyword) for keyword in keywords} for keywords in (skip, _SEQUENCES))
    for tag in dataset.keys() - skipped:
        element = dataset.get_item(tag)
        value = getattr(element, "value", None)
        if isinstance(value, bytes) and tag in sequences:
            check_item_count(value, name)
        elif isinstance(value, bytes) and len(value) > _LONGEST_VALUE:
            raise damaged_image(name, f"a DICOM file whose attribute {tag} has {len(value):,} bytes")


def check_required(dataset: "Dataset", name: str, keywords: Iterable[str] = REQUIRED) -> None:
    """Refuses a data set without an attribute that has no default.

    Args:
        dataset: the data set.
        name: the file's name in error messages.
        keywords: the attributes' keywords.

    Raises:
        ImageError: one is missing or empty.
    """
    for keyword in keywords:
        if dataset.get(keyword) in (None, ""):
            state = "empty" if keyword in dataset else "missing"
            raise ImageError(
                f"A DICOM image must have the attribute {keyword}, which has no default. Received: {name}, "
                f"where it is {state}. Add it, or export the image again."
            )


def text_of(dataset: "Dataset", keyword: str) -> str:
    """Returns an attribute as it is written in the file, without its padding; "" for a missing one."""
    from pydicom.tag import Tag

    if keyword not in dataset:
        return ""
    value = dataset.get_item(Tag(keyword)).value
    if isinstance(value, bytes):
        text = value.decode("latin-1")
    elif isinstance(value, str) or not isinstance(value, Iterable):
        text = "" if value is None else str(value)
    else:
        text = "\\".join(map(str, value))
    return text.strip(" \0")


def first_decimal(dataset: "Dataset", keyword: str, name: str, notes: list[str]) -> float | None:
    """Returns the first number of a decimal string (PS3.5, section 6.2, DS).

    Args:
        dataset: the data set.
        keyword: the attribute's keyword.
        name: the file's name in messages.
        notes: gets a message about a decimal comma, which is read as a point.

    Returns:
        The number; None where the attribute is missing or empty.

    Raises:
        ImageError: the text is not a number.
    """
    text = text_of(dataset, keyword).split("\\")[0].strip(" \0")
    if not text:
        return None
    if _DECIMAL.fullmatch(text):
        return float(text)
    rule = "A number of DICOM must have digits and, before decimals, a point."
    if _DECIMAL_COMMA.fullmatch(text):
        notes.append(
            f"{rule} Received: {name} with {keyword} {text!r}, a decimal comma, which was read as a point. "
            "Correct the file, or the program that wrote it."
        )
        return float(text.replace(",", "."))
    raise ImageError(f"{rule} Received: {name} with {keyword} {text[:40]!r}. Correct the attribute.")
