"""CheXpert of Stanford Hospital."""

import pathlib

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.findings.finding_rows import ABSENT, MISSING, PRESENT, build_rows
from semenet.data.sources.findings.published_folder import find_table, read_table
from semenet.data.sources.findings.row_rules import UNCERTAIN, RowRules
from semenet.data.sources.source_rows import SourceError

FINDINGS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)

_NAME = "CheXpert"
_COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)
_CELLS = {"": MISSING, "1.0": PRESENT, "0.0": ABSENT, "-1.0": UNCERTAIN}
_SEXES = {"Female": "F", "Male": "M"}
# "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg": the folder's name differs by edition.
_PATH = r"(?:^|/)((?:train|valid)/patient(\d+)/.*)$"


def read_chexpert(folder: pathlib.Path | str, *, rules: RowRules | None = None) -> pd.DataFrame:
    """Turns CheXpert into the rows of a manifest.

    The findings of train were extracted from reports by a program. A finding that no report mentions is
    empty, and one that a report leaves open is `uncertain`; `RowRules.uncertain` changes the latter. The 200
    studies of valid were read by three radiologists and have 0 and 1 only. By default a row's label is
    "pneumonia" with Pneumonia, "normal" with No Finding, "uncertain" with an uncertain one of these,
    otherwise "other".

    Reference: Irvin et al., AAAI 2019, arXiv:1901.07031;
    https://stanfordmlgroup.github.io/competitions/chexpert/. Stanford's research use agreement; registration.

    Args:
        folder: CheXpert-v1.0 or CheXpert-v1.0-small, with train.csv, valid.csv and the folders train and
            valid.
        rules: which rows, columns and labels; None for the defaults.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("chexpert-" and five digits),
        `split` (train and val, from the publisher's train and valid), `source`, `license`, `view` (AP, PA, L
        ...), `sex`, `age` (90 means 90 or more), and one column for each finding.

    Raises:
        SourceError: a table is missing or damaged, or a listed file is missing.

    Example:
        >>> from semenet.data.sources import RowRules, read_chexpert
        >>> rows = read_chexpert("CheXpert-v1.0-small", rules=RowRules(uncertain="1"))  # doctest: +SKIP
    """
    folder = pathlib.Path(folder)
    tables = []
    for name, split in (("train.csv", "train"), ("valid.csv", "val")):
        table = read_table(find_table(folder, (name,), _NAME), _COLUMNS, _NAME)
        tables.append(table.assign(split=split))
    table = pd.concat(tables, ignore_index=True)
    parts = table["Path"].str.extract(_PATH)
    invalid = table["Path"][parts[0].isna()].tolist()
    if invalid:
        raise SourceError(
            f"A path of {_NAME} must have the form .../train/patient00001/study1/view1_frontal.jpg. "
            f"Received: {shorten(invalid)}. Download the tables again."
        )
    findings = table[list(FINDINGS)].replace({"1": "1.0", "0": "0.0", "-1": "-1.0"})
    unknown = sorted(set(findings.to_numpy().ravel()) - set(_CELLS))
    if unknown:
        raise SourceError(
            f"A finding of {_NAME} must be 1, 0, -1 or empty. Received: {shorten(unknown)}. Download the "
            "tables again."
        )
    view = table["AP/PA"].where(table["Frontal/Lateral"] == "Frontal", "L")
    images = pd.DataFrame(
        {
            "file": parts[0],
            "patient": "chexpert-" + parts[1],
            "split": table["split"],
            "view": view,
            "sex": table["Sex"].map(_SEXES).fillna(""),
            "age": table["Age"],
        }
    )
    return build_rows(
        images,
        findings.replace(_CELLS),
        folder,
        rules or RowRules(),
        source="chexpert",
        license="Stanford University Dataset Research Use Agreement",
        labels={"Pneumonia": "pneumonia", "No Finding": "normal"},
        frontal_only=False,
    )
