"""The repository covid-chestxray-dataset (Cohen et al.)."""

import pathlib
from collections.abc import Mapping, Sequence

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.csv_format import find_format
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.source_rows import (
    NOT_STATED,
    SourceError,
    SourceNotFoundError,
    draw_splits,
    is_image_file,
    keep_existing_files,
    warn_source,
)

_REQUIRED_COLUMNS = ("patientid", "finding", "view", "filename")
_FURTHER_COLUMNS = ("finding", "view", "sex", "age", "offset", "location", "doi", "url")
_NO_FINDING = ("", "todo", "unknown")


def read_covid_chestxray(
    folder: pathlib.Path | str,
    *,
    views: Sequence[str] = (),
    findings: Sequence[str] = (),
    modality: str = "X-ray",
    on_error: str = "raise",
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> pd.DataFrame:
    """Turns covid-chestxray-dataset into the rows of a manifest.

    A row's label is the last level of its `finding`: "Pneumonia/Viral/COVID-19" is COVID-19, and so is
    "COVID-19, ARDS" of editions before June 2020. Rows without a finding ("", "todo", "Unknown"), rows of
    other views, and files that are not images (CT volumes, .nii.gz) are left out and counted in a
    `SourceWarning`. Splits are drawn by patient, since the publisher has none.

    Reference: Cohen et al., arXiv:2006.11988; https://github.com/ieee8023/covid-chestxray-dataset. Each image
    has its own licence, mostly CC BY-NC-SA.

    Args:
        folder: the repository's folder, with metadata.csv and images/.
        views: values of `view` to keep, case-insensitive; empty for all frontal views: PA, and all that
            begin with AP (AP, AP Supine, AP semi erect, AP erect).
        findings: labels to keep, case-insensitive; empty for all.
        modality: "X-ray" or "CT"; ignored for editions without this column, in which the view shows the
            modality.
        on_error: "raise" to raise an error that lists missing files, "skip" to leave them out and list them
            in a `SourceWarning`.
        shares: split names and their shares of the images; the shares sum to 1.
        seed: seed of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("covid-<patientid>"), `split`,
        `source`, `license`, and those of finding, view, sex, age (years), offset (days since symptoms or
        admission), location, doi and url that the edition has.

    Raises:
        SourceError: metadata.csv is missing, unreadable, or without a required column; a row has no patient;
            no row is left; a listed file is missing; one file is listed for two patients or with two labels.
        SemenetError: `on_error` is neither of the two.
    """
    folder = pathlib.Path(folder)
    table = _select_rows(_read_metadata(folder / "metadata.csv"), views, findings, modality, folder)
    table = keep_existing_files(table, folder, on_error, "covid-chestxray-dataset")
    license_given = table["license"] if "license" in table else pd.Series("", index=table.index)
    frame = pd.DataFrame(
        {
            "file": table["file"],
            "label": table["label"],
            "patient": "covid-" + table["patientid"],
            "source": "covid-chestxray-dataset",
            "license": license_given.where(license_given != "", NOT_STATED),
            **{column: table[column] for column in _FURTHER_COLUMNS if column in table},
        }
    )
    frame = frame.sort_values("file", ignore_index=True)
    frame.insert(3, "split", draw_splits(frame, shares, seed))
    return frame


def _read_csv(path: pathlib.Path) -> pd.DataFrame:
    try:
        table = find_format(path, _REQUIRED_COLUMNS, "metadata.csv").read(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise SourceNotFoundError(
            f"covid-chestxray-dataset's folder must have metadata.csv and images. Received: {path}, which is "
            "not a file. Pass the repository's folder."
        ) from error
    except (
        ManifestError,
        UnicodeError,
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
    ) as error:
        raise SourceError(
            f"metadata.csv must be comma-separated UTF-8 text. Received: {path}: {error}. Download it again; "
            "a spreadsheet program may have saved it in another encoding."
        ) from error
    return table.fillna("")


def _read_metadata(path: pathlib.Path) -> pd.DataFrame:
    table = _read_csv(path)
    # Editions of 2020 have the columns "Patientid" and " url".
    table.columns = [str(column).strip().lower() for column in table.columns]
    missing = [column for column in _REQUIRED_COLUMNS if column not in table]
    if missing:
        raise SourceError(
            f"metadata.csv must have the columns {', '.join(_REQUIRED_COLUMNS)}. Received: {path} without "
            f"{', '.join(missing)}. Take the file from the repository."
        )
    repeated = sorted(set(table.columns[table.columns.duplicated()]))
    if repeated:
        raise SourceError(
            f"The column names of metadata.csv must be unique. Received: {path} with "
            f"{shorten(repeated)} more than once. Take the file from the repository."
        )
    table = table.apply(lambda column: column.str.strip())
    without_patient = table.index[table["patientid"] == ""]
    if len(without_patient):
        raise SourceError(
            f"Every image must have a patient. Received: {path} with {len(without_patient)} rows without "
            f"patientid, the first for {table['filename'][without_patient[0]]!r}. Fill them in, or remove "
            "the rows."
        )
    table["patientid"] = table["patientid"].str.removesuffix(".0")
    first = table["finding"].str.split(",").str[0]
    table["label"] = first.str.split("/").str[-1].str.strip()
    return table


def _select_rows(
    table: pd.DataFrame, views: Sequence[str], findings: Sequence[str], modality: str, folder: pathlib.Path
) -> pd.DataFrame:
    """Selects the requested rows and adds each one's file; a warning counts the others."""
    _check_known("views", views, table["view"], folder)
    _check_known("findings", findings, table["label"], folder)
    left_out = []

    def select(table: pd.DataFrame, selected: pd.Series, reason: str) -> pd.DataFrame:
        if not selected.all():
            left_out.append(f"{(~selected).sum()} {reason}")
        return table[selected]

    total = len(table)
    table = select(table, ~table["label"].str.lower().isin(_NO_FINDING), "without a finding")
    if "modality" in table:
        reason = f"of another modality than {modality}"
        table = select(table, table["modality"].str.lower() == modality.lower(), reason)
    if views:
        has_view = table["view"].str.lower().isin([view.lower() for view in views])
    else:
        has_view = table["view"].str.upper().str.split().str[0].isin(["PA", "AP"])
    table = select(table, has_view, f"of other views than {', '.join(views) or 'frontal ones (PA, AP ...)'}")
    # The result of mapping an empty column is not boolean, and pandas would take it for column names.
    images = table["filename"].map(lambda name: is_image_file(pathlib.Path(name))).astype(bool)
    table = select(table, images, "that are not images")
    if findings:
        has_finding = table["label"].str.lower().isin([finding.lower() for finding in findings])
        table = select(table, has_finding, f"with another finding than {', '.join(findings)}")
    if table.empty:
        raise SourceError(
            f"At least one row of metadata.csv must be left. Received: {folder} with {total} rows: "
            f"{'; '.join(left_out)} left out. Request other views or findings."
        )
    if left_out:
        warn_source(f"covid-chestxray-dataset: left out of {total} rows: {'; '.join(left_out)}.")
    folders = table["folder"].where(table["folder"] != "", "images") if "folder" in table else "images"
    return _drop_repeated_files(table.assign(file=folders + "/" + table["filename"]), folder)


def _drop_repeated_files(table: pd.DataFrame, folder: pathlib.Path) -> pd.DataFrame:
    repeated = table[table.duplicated("file", keep=False)]
    values = repeated.groupby("file")[["patientid", "label"]].nunique().max(axis=1)
    if (values > 1).any():
        raise SourceError(
            f"A file must have one patient and one finding. Received: {folder}/metadata.csv, where "
            f"{shorten(values.index[values > 1].tolist())} has several. Remove the wrong rows."
        )
    if len(repeated):
        warn_source(
            f"covid-chestxray-dataset: {shorten(values.index.tolist())} is listed twice and was used once."
        )
    return table.drop_duplicates("file")


def _check_known(name: str, requested: Sequence[str], column: pd.Series, folder: pathlib.Path) -> None:
    known = sorted(set(column) - {""})
    unknown = [value for value in requested if value.lower() not in {each.lower() for each in known}]
    if unknown:
        raise SourceError(
            f"The requested {name} must be in the data set. Received: {shorten(unknown)} for {folder}. "
            f"Choose among: {', '.join(known)}."
        )
