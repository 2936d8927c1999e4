"""The SIIM-FISABIO-RSNA COVID-19 Detection challenge of 2021."""

import ast
import pathlib
from collections.abc import Callable

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.findings.finding_rows import ABSENT, MISSING, PRESENT, build_rows
from semenet.data.sources.findings.published_folder import (
    find_table,
    index_images,
    read_dicom_headers,
    read_table,
)
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError

_NAME = "SIIM-FISABIO-RSNA COVID-19 Detection"
_LABELS = {
    "Negative for Pneumonia": "negative",
    "Typical Appearance": "typical",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}
_NEGATIVE = "Negative for Pneumonia"
_OPACITY = "opacity"
_BOX = ("x", "y", "width", "height")


def read_siim(
    folder: pathlib.Path | str,
    *,
    rules: RowRules | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> pd.DataFrame:
    """Turns the labelled part (train) of the SIIM COVID-19 Detection challenge into the rows of a manifest.

    Radiologists judged each study's appearance: typical, indeterminate or atypical of COVID-19 pneumonia, or
    negative for pneumonia. This is not a test for the virus, and a negative study need not be normal. A study
    may have several images, of which often one only has boxes: `opacity` is 1 with boxes, 0 in a negative
    study, otherwise not known. By default the labels are "negative", "typical", "indeterminate" and
    "atypical".

    Reference: Lakhani et al., Journal of Digital Imaging (2022), doi:10.1007/s10278-022-00706-8;
    https://www.kaggle.com/c/siim-covid19-detection. The challenge's rules; registration. The images are from
    BIMCV-COVID19 and MIDRC-RICORD.

    Args:
        folder: the folder with train_study_level.csv, train_image_level.csv and train/STUDY/SERIES/IMAGE.dcm.
        rules: which rows, columns and labels; None for the defaults.
        progress: is called with the numbers of read and of all DICOM headers.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` (from the DICOM header; the study if
        it has none), `split` (drawn by patient), `source`, `license`, `view` and `sex` (from the header),
        `study`, `boxes` ("x y width height" in pixels, separated by ";"), and one column for each appearance
        and opacity.

    Raises:
        SourceError: a table is missing or damaged, or a listed file is missing.

    Example:
        >>> from semenet.data.sources import read_siim
        >>> rows = read_siim("siim-covid19-detection")  # doctest: +SKIP
    """
    folder = pathlib.Path(folder)
    study_path = find_table(folder, ("train_study_level.csv",), _NAME)
    studies = read_table(study_path, ("id", *_LABELS), _NAME)
    studies.index = pd.Index(studies["id"].str.removesuffix("_study"))
    if studies.index.has_duplicates or not (studies[list(_LABELS)] == "1").sum(axis=1).eq(1).all():
        raise SourceError(
            f"Each study must have one row and one appearance. Received: {study_path}, where some have none "
            "or several. Download the table again."
        )
    image_path = find_table(folder, ("train_image_level.csv",), _NAME)
    table = read_table(image_path, ("id", "boxes", "label", "StudyInstanceUID"), _NAME)
    unknown = sorted(set(table["StudyInstanceUID"]) - set(studies.index))
    if unknown:
        raise SourceError(
            f"Each image must belong to a study of {study_path.name}. Received: {image_path} with "
            f"{shorten(unknown)}. Download both tables again."
        )
    study = table["StudyInstanceUID"]
    names = table["id"].str.removesuffix("_image")
    found = index_images([folder / "train"], folder, by_stem=True)
    images = pd.DataFrame(
        {"file": [found.get(name, f"train/{own}/{name}.dcm") for name, own in zip(names, study, strict=True)]}
    )
    headers = read_dicom_headers(
        [folder / file for file in images["file"]], ("PatientID", "PatientSex", "ViewPosition"), progress
    )
    images["patient"] = "siim-" + headers["PatientID"].where(headers["PatientID"] != "", study)
    images["view"], images["sex"] = headers["ViewPosition"], headers["PatientSex"]
    images["study"] = study
    images["boxes"] = [_read_boxes(text, image_path) for text in table["boxes"]]
    findings = studies.loc[study, list(_LABELS)].reset_index(drop=True)
    findings[_OPACITY] = [
        PRESENT if boxes else ABSENT if negative == PRESENT else MISSING
        for boxes, negative in zip(images["boxes"], findings[_NEGATIVE], strict=True)
    ]
    return build_rows(
        images,
        findings,
        folder,
        rules or RowRules(),
        source="siim-covid19",
        license="rules of the SIIM-FISABIO-RSNA COVID-19 Detection challenge",
        labels=_LABELS,
        from_headers=True,
    )


def _read_boxes(text: str, path: pathlib.Path) -> str:
    """Converts "[{'x': 1.5, 'y': 2, 'width': 3, 'height': 4}]" into "1.5 2 3 4"."""
    if not text:
        return ""
    try:
        boxes = ast.literal_eval(text)
        return ";".join(" ".join(f"{float(box[side]):g}" for side in _BOX) for box in boxes)
    except (ValueError, SyntaxError, TypeError, KeyError) as error:
        raise SourceError(
            f"Boxes must be a list with x, y, width and height. Received: {path} with {text[:80]!r}. "
            "Download the table again."
        ) from error
