"""The COVID-19 Image Repository of the Hannover Medical School."""

import pathlib

import pandas as pd

from semenet.data.sources.findings.finding_rows import PRESENT, build_rows
from semenet.data.sources.findings.published_folder import find_table, read_table
from semenet.data.sources.findings.row_rules import RowRules

_NAME = "COVID-19 Image Repository"
_COLUMNS = ("patient_id", "image_id", "sex", "age", "admission_offset", "modality", "projection")
_SEXES = {"m": "M", "f": "F", "w": "F"}
_COVID = "COVID-19"


def read_hannover(folder: pathlib.Path | str, *, rules: RowRules | None = None) -> pd.DataFrame:
    """Turns the COVID-19 Image Repository of Hannover into the rows of a manifest.

    All patients had COVID-19, and all rows the label "COVID-19"; some images are from before or after the
    illness, see `offset`. Ages are not published.

    Reference: Winther et al., figshare (2020), doi:10.6084/m9.figshare.12275009;
    https://github.com/ml-workgroup/covid-19-image-repository. CC BY 3.0.

    Args:
        folder: the repository's folder, with data.csv and png/.
        rules: which rows and columns; None for the defaults.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("hannover-" and the publisher's
        identifier), `split` (drawn by patient), `source`, `license`, `view` (AP, PA), `sex`, `age`,
        `modality` (CR, DX), `offset` (days since admission), and the column COVID-19.

    Raises:
        SourceError: data.csv is missing or damaged, or a listed file is missing.

    Example:
        >>> from semenet.data.sources import read_hannover
        >>> rows = read_hannover("covid-19-image-repository")  # doctest: +SKIP
    """
    folder = pathlib.Path(folder)
    table = read_table(find_table(folder, ("data.csv",), _NAME), _COLUMNS, _NAME)
    # The table gives the day of admission, counted from the day of the image.
    offset = -pd.to_numeric(table["admission_offset"], errors="coerce")
    images = pd.DataFrame(
        {
            "file": "png/" + table["image_id"] + ".png",
            "patient": "hannover-" + table["patient_id"],
            "view": table["projection"].str.upper(),
            "sex": table["sex"].str.lower().map(_SEXES).fillna(""),
            "age": table["age"],
            "modality": table["modality"],
            "offset": offset.map(lambda days: "" if pd.isna(days) else str(int(days))).astype(str),
        }
    )
    findings = pd.DataFrame({_COVID: PRESENT}, index=images.index)
    return build_rows(
        images,
        findings,
        folder,
        rules or RowRules(),
        source="hannover",
        license="CC BY 3.0",
        labels={_COVID: _COVID},
    )
