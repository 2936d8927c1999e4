"""VinDr-CXR of two hospitals in Vietnam."""

import pathlib
from collections.abc import Callable

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.findings.finding_rows import ABSENT, PRESENT, build_rows
from semenet.data.sources.findings.published_folder import (
    find_table,
    index_images,
    read_dicom_headers,
    read_table,
)
from semenet.data.sources.findings.row_rules import UNCERTAIN, RowRules
from semenet.data.sources.source_rows import SourceError, warn_source
from semenet.errors import SemenetError

_NAME = "VinDr-CXR"
_SPLITS = ("train", "test")
# The name in image_labels_test.csv, and that in image_labels_train.csv.
_RENAMED = {"Other disease": "Other diseases"}
_DECISIONS = ("majority", "any", "unanimous")


def read_vindr(
    folder: pathlib.Path | str,
    *,
    radiologists: str = "majority",
    rules: RowRules | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> pd.DataFrame:
    """Turns VinDr-CXR into the rows of a manifest.

    Three radiologists read each image of train; test has the consensus of five. The data set tells no
    patients: every image counts as its own patient, so that two images of one patient may be in two splits.
    By default a row's label is "pneumonia" with Pneumonia, "normal" with No finding, otherwise "other".

    Reference: Nguyen et al., Scientific Data 9 (2022), arXiv:2012.15029;
    https://physionet.org/content/vindr-cxr/1.0.0/. PhysioNet Credentialed Health Data License; registration,
    training and a data use agreement.

    Args:
        folder: the folder with annotations/image_labels_train.csv and image_labels_test.csv (or the tables
            beside the images), and train/ and test/ with <image_id>.dicom, or the same names as PNG.
        radiologists: a finding of train is present for "majority" if two of three saw it, for "any" if one
            did; for "unanimous" it is present or absent if all agree, and otherwise `uncertain`.
        rules: which rows, columns and labels; None for the defaults.
        progress: is called with the numbers of read and of all DICOM headers.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("vindr-" and the image), `split`
        (the publisher's train and test; a tenth of train becomes val), `source`, `license`, `view` (PA, as
        the publisher states of all), `sex` and `age` (from DICOM headers, empty for PNG), and one column for
        each finding.

    Raises:
        SourceError: a table is missing or damaged, or a listed file is missing.
        SemenetError: `radiologists` is none of the three.

    Example:
        >>> from semenet.data.sources import read_vindr
        >>> rows = read_vindr("vindr-cxr", radiologists="unanimous")  # doctest: +SKIP
    """
    if radiologists not in _DECISIONS:
        raise SemenetError(
            f"`radiologists` must be one of {', '.join(_DECISIONS)}. Received: {radiologists!r}. Pass one of "
            "these."
        )
    folder = pathlib.Path(folder)
    parts, cells = [], []
    for split in _SPLITS:
        name = f"image_labels_{split}.csv"
        path = find_table(folder, (f"annotations/{name}", name), _NAME)
        decided = _decide(read_table(path, ("image_id",), _NAME), path, radiologists)
        found = index_images([folder / split], folder, by_stem=True)
        file = [found.get(image, f"{split}/{image}.dicom") for image in decided.index]
        parts.append(pd.DataFrame({"file": file, "patient": "vindr-" + decided.index, "split": split}))
        cells.append(decided)
    images = pd.concat(parts, ignore_index=True)
    findings = pd.concat(cells, ignore_index=True)
    if findings.isna().any(axis=None):
        raise SourceError(
            f"The tables of train and test of {_NAME} must have the same findings. Received: {folder} with "
            f"{shorten(findings.columns[findings.isna().any()].tolist())} in one of them only. Download them "
            "again."
        )
    is_dicom = images["file"].str.lower().str.endswith((".dicom", ".dcm"))
    paths = [folder / file for file in images.loc[is_dicom, "file"]]
    headers = read_dicom_headers(paths, ("PatientSex", "PatientAge"), progress)
    headers.index = images.index[is_dicom]
    headers = headers.reindex(images.index, fill_value="")
    images["view"] = "PA"
    images["sex"] = headers["PatientSex"].where(headers["PatientSex"].isin(["F", "M"]), "")
    images["age"] = headers["PatientAge"]
    warn_source(f"{_NAME} tells no patients: every image counts as its own patient.")
    return build_rows(
        images,
        findings,
        folder,
        rules or RowRules(),
        source="vindr-cxr",
        license="PhysioNet Credentialed Health Data License 1.5.0",
        labels={"Pneumonia": "pneumonia", "No finding": "normal"},
        from_headers=True,
    )


def _decide(table: pd.DataFrame, path: pathlib.Path, radiologists: str) -> pd.DataFrame:
    """Returns the cells of each image, indexed by image, from one row for each radiologist."""
    # The column is rad_id or rad_ID.
    names = [column for column in table if column.lower() not in ("image_id", "rad_id")]
    unknown = sorted(set(table[names].to_numpy().ravel()) - {"0", "1", "0.0", "1.0"})
    if unknown or not names:
        raise SourceError(
            f"A finding of {_NAME} must be 0 or 1. Received: {path} with "
            f"{shorten([repr(cell) for cell in unknown])}. Download the table again."
        )
    share = table[names].astype(float).groupby(table["image_id"], sort=True).mean()
    if radiologists == "unanimous":
        cells = share.map(lambda value: PRESENT if value == 1 else ABSENT if value == 0 else UNCERTAIN)
    else:
        least = 0.5 if radiologists == "majority" else 0.0
        cells = share.map(lambda value: PRESENT if value > least else ABSENT)
    return cells.rename(columns=_RENAMED)
