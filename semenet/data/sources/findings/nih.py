"""ChestX-ray14 of the NIH Clinical Center."""

import pathlib

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.findings.finding_rows import build_rows, cells_of
from semenet.data.sources.findings.published_folder import find_table, index_images, read_table
from semenet.data.sources.findings.row_rules import RowRules
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError
from semenet.errors import SemenetError

NO_FINDING = "No Finding"
FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia"),
    *("Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax"),
    NO_FINDING,
)

_NAME = "ChestX-ray14"
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position")
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}


def read_nih(
    folder: pathlib.Path | str, *, splits: str = "drawn", rules: RowRules | None = None
) -> pd.DataFrame:
    """Turns ChestX-ray14 into the rows of a manifest.

    The findings were extracted from reports by a program; its authors estimate that more than 90 % are
    correct. A finding that is not named counts as absent. By default a row's label is "pneumonia" with
    Pneumonia among its findings, "normal" with No Finding, and otherwise "other".

    Reference: Wang et al., CVPR 2017, arXiv:1705.02315; https://nihcc.app.box.com/v/ChestXray-NIHCC. No
    restriction of use; the publisher asks for attribution.

    Args:
        folder: the folder with Data_Entry_2017.csv or Data_Entry_2017_v2020.csv, and with images_001 to
            images_012, each with a folder images, or with one folder images.
        splits: "drawn" to draw splits by patient, "official" for the publisher's test_list.txt and
            train_val_list.txt, of which a tenth of the patients becomes val.
        rules: which rows, columns and labels; None for the defaults.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("nih-" and eight digits), `split`,
        `source`, `license`, `view`, `sex`, `age` (years; empty if impossible), `finding` (as listed,
        separated by "|"), and one column for each finding.

    Raises:
        SourceError: a table or list is missing or damaged, or a listed file is missing.
        SemenetError: `splits` is neither of the two.

    Example:
        >>> from semenet.data.sources import RowRules, read_nih
        >>> adults = RowRules(views=("PA",), ages="18-")
        >>> rows = read_nih("ChestX-ray14", rules=adults)  # doctest: +SKIP
    """
    if splits not in ("drawn", "official"):
        raise SemenetError(
            f'`splits` must be "drawn" or "official". Received: {splits!r}. Pass one of the two.'
        )
    folder = pathlib.Path(folder)
    path = find_table(folder, ("Data_Entry_2017_v2020.csv", "Data_Entry_2017*.csv"), _NAME)
    table = read_table(path, _COLUMNS, _NAME)
    tops = sorted(top for top in folder.glob("images*") if top.is_dir())
    if not tops:
        raise SourceNotFoundError(
            f"{_NAME}'s folder must have the folders images_001 to images_012, or images. Received: "
            f"{folder}, which has none. Unpack the archives of images there."
        )
    found = index_images(tops, folder)
    named = table["Finding Labels"].str.split("|")
    unknown = sorted({each for names in named for each in names} - set(FINDINGS))
    if unknown:
        raise SourceError(
            f"The findings of {_NAME} are {', '.join(FINDINGS)}. Received: {path} with {shorten(unknown)}. "
            "Download the table again."
        )
    findings = pd.DataFrame(
        {finding: cells_of(named.map(lambda names, each=finding: each in names)) for finding in FINDINGS}
    )
    sex = table.get("Patient Gender", table.get("Patient Sex", pd.Series("", index=table.index)))
    images = pd.DataFrame(
        {
            # A missing image is reported under the first folder.
            "file": [found.get(name, f"{tops[0].name}/{name}") for name in table["Image Index"]],
            "patient": "nih-" + table["Patient ID"].str.zfill(8),
            "view": table["View Position"],
            "sex": sex,
            "age": table["Patient Age"],
            "finding": table["Finding Labels"],
        }
    )
    left_out = []
    if splits == "official":
        images["split"] = _official_splits(folder, table["Image Index"])
        without = images["split"] == ""
        if without.any():
            left_out.append(f"{int(without.sum())} that are in neither list")
        images = images[~without]
    return build_rows(
        images,
        findings,
        folder,
        rules or RowRules(),
        source="nih-chestxray14",
        license="NIH Clinical Center: no restriction, attribution",
        labels={"Pneumonia": "pneumonia", NO_FINDING: "normal"},
        left_out=left_out,
    )


def _official_splits(folder: pathlib.Path, names: pd.Series) -> pd.Series:
    splits = pd.Series("", index=names.index)
    for split, list_name in _LISTS.items():
        path = folder / list_name
        try:
            listed = path.read_text(encoding="utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceNotFoundError(
                f"The official splits of {_NAME} need {' and '.join(_LISTS.values())}. Received: {path}: "
                f"{error}. Download the lists, or draw splits (--splits drawn)."
            ) from error
        splits[names.isin(listed)] = split
    return splits
