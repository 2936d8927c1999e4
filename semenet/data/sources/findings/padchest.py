"""PadChest of the Hospital San Juan, Alicante."""

import ast
import pathlib

import pandas as pd

from semenet.data.sources.findings.finding_rows import ABSENT, MISSING, PRESENT, build_rows
from semenet.data.sources.findings.published_folder import find_table, index_images, read_table
from semenet.data.sources.findings.row_rules import RowRules

_NAME = "PadChest"
_TABLE = "PADCHEST_chest_x_ray_images_labels_160K"
_COLUMNS = (
    *("ImageID", "StudyDate_DICOM", "PatientID", "PatientBirth", "PatientSex_DICOM", "Projection", "Labels"),
)
# The report could not be used, or says only that nothing changed since an earlier one.
_EXCLUDED, _UNCHANGED = "exclude", "unchanged"


def read_padchest(folder: pathlib.Path | str, *, rules: RowRules | None = None) -> pd.DataFrame:
    """Turns PadChest into the rows of a manifest.

    The findings are 174 radiographic findings and 19 diagnoses, in lower case, of 27 % of the reports by
    physicians and of the others by a network; the column `label_method` tells which. A finding that is not
    named counts as absent; if a report says "unchanged", a finding that it does not name is not known, and
    its cell is empty. By default a row's label is "pneumonia" or "normal" if so named, otherwise "other".
    Left out and counted are rows with an empty or damaged list of findings, with the finding "exclude", or
    without a patient. Some ten of the published PNG files are damaged: `semenet data check` finds them.

    Reference: Bustos et al., Medical Image Analysis 66 (2020), arXiv:1901.07441;
    https://bimcv.cipf.es/bimcv-projects/padchest/. PadChest's research use agreement; registration.

    Args:
        folder: the folder with PADCHEST_chest_x_ray_images_labels_160K*.csv (or .csv.gz) and the 16-bit PNG
            files at any depth: in folders 0 to 54, or in one.
        rules: which rows, columns and labels; None for the defaults.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("padchest-" and the publisher's
        number), `split` (drawn by patient), `source`, `license`, `view` (PA, AP, AP_horizontal, L ...),
        `sex`, `age` (years, from the years of birth and study), `label_method`, and one column for each
        finding.

    Raises:
        SourceError: the table is missing or damaged, or a listed file is missing.

    Example:
        >>> from semenet.data.sources import RowRules, read_padchest
        >>> rules = RowRules(findings=("pneumonia", "pleural effusion"))
        >>> rows = read_padchest("PadChest", rules=rules)  # doctest: +SKIP
    """
    folder = pathlib.Path(folder)
    names = (f"{_TABLE}*.csv", f"{_TABLE}*.csv.gz")
    table = read_table(find_table(folder, names, _NAME), _COLUMNS, _NAME)
    lists = table["Labels"].map(_parse_list)
    left_out = []
    for wrong, reason in (
        (lists.isna(), "with an empty or damaged list of findings"),
        (lists.map(lambda each: each is not None and _EXCLUDED in each), f'with the finding "{_EXCLUDED}"'),
        (table["PatientID"] == "", "without a patient"),
    ):
        wrong = wrong.reindex(table.index).astype(bool)
        if wrong.any():
            left_out.append(f"{int(wrong.sum())} {reason}")
        table, lists = table[~wrong], lists[~wrong]
    found = index_images([folder], folder)
    images = pd.DataFrame(
        {
            "file": [found.get(name, name) for name in table["ImageID"]],
            "patient": "padchest-" + table["PatientID"],
            "view": table["Projection"],
            "sex": table["PatientSex_DICOM"].where(table["PatientSex_DICOM"].isin(["F", "M"]), ""),
            "age": _ages(table),
            "label_method": table.get("MethodLabel", ""),
        }
    )
    return build_rows(
        images,
        _finding_cells(lists),
        folder,
        rules or RowRules(),
        source="padchest",
        license="PadChest Dataset Research Use Agreement",
        labels={"pneumonia": "pneumonia", "normal": "normal"},
        left_out=left_out,
        frontal_only=False,
    )


def _parse_list(text: str) -> tuple[str, ...] | None:
    """Parses "['pneumonia', ' pleural effusion', '']"; None if the text is no such list, or is empty."""
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(name.strip().lower() for name in names if name.strip()) or None


def _finding_cells(lists: pd.Series) -> pd.DataFrame:
    names = sorted({name for each in lists for name in each} - {_UNCHANGED})
    # One column for each of some 190 findings of 160,000 images: each image is looked at once.
    unnamed = lists.map(lambda each: MISSING if _UNCHANGED in each else ABSENT)
    columns = {name: unnamed.to_numpy(dtype=object).copy() for name in ("pneumonia", "normal", *names)}
    for position, each in enumerate(lists):
        for name in each:
            if name != _UNCHANGED:
                columns[name][position] = PRESENT
    return pd.DataFrame(columns, index=lists.index)


def _ages(table: pd.DataFrame) -> pd.Series:
    study = pd.to_numeric(table["StudyDate_DICOM"].str[:4], errors="coerce")
    years = study - pd.to_numeric(table["PatientBirth"], errors="coerce")
    return years.map(lambda age: "" if pd.isna(age) or age < 0 else str(int(age))).astype(str)
