"""The folder of covid-chestxray-dataset (Cohen et al.) to the rows of a manifest."""

import pathlib
import warnings

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.splitting import SHARES
from semenet.data.sources.kermany import NOT_STATED, SourceError, draw_splits, is_image, keep_present, tell

_NEEDED = ("patientid", "finding", "view", "filename")
_KEPT = ("finding", "view", "sex", "age", "offset", "location", "doi", "url")
_NO_FINDING_GIVEN = ("", "todo", "unknown")


def covid_chestxray(
    folder, *, views=(), findings=(), modality="X-ray", on_error="raise", shares=SHARES, seed=0
):
    """Turns covid-chestxray-dataset into the rows of a manifest.

    A row's label is the last level of its `finding`: "Pneumonia/Viral/COVID-19" is COVID-19, and so is
    "COVID-19, ARDS" of editions before June 2020. Rows without a finding ("", "todo", "Unknown"), of
    other views, and files that are no images (CT volumes, .nii.gz) are left out and counted in a
    `SourceWarning`. Splits are drawn by patient, since the publisher gives none.

    Reference: Cohen et al., arXiv:2006.11988; https://github.com/ieee8023/covid-chestxray-dataset. Every
    image has a licence of its own, most of them CC BY-NC-SA.

    Args:
        folder: the repository's folder, with metadata.csv and images/.
        views: sequence of str, values of `view` to take, in any case; empty for every frontal one: PA, and
            all that begin with AP (AP, AP Supine, AP semi erect, AP erect).
        findings: sequence of str, labels to keep, in any case; empty for all.
        modality: str, "X-ray" or "CT"; not looked at in editions without such a column, whose views
            tell it.
        on_error: "raise" for an error that names listed files which are absent, "skip" to leave them out and
            name them in a `SourceWarning`.
        shares: dict of split names to shares that sum to 1.
        seed: int, of the draw of the splits.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label`, `patient` ("covid-<patientid>"), `split`,
        `source`, `license`, and of finding, view, sex, age (years), offset (days since symptoms or
        admission), location, doi and url those that the edition has.

    Raises:
        SourceError: metadata.csv is absent, unreadable, or lacks a column; a row has no patient; no row is
            left; a listed file is absent; one file is listed for two patients or with two labels.
        ValueError: `on_error` is neither of the two.
    """
    folder = pathlib.Path(folder)
    table = _chosen(_metadata(folder / "metadata.csv"), views, findings, modality, folder)
    table = keep_present(table, folder, on_error, "covid-chestxray-dataset")
    license_given = table["license"] if "license" in table else pd.Series("", index=table.index)
    frame = pd.DataFrame(
        {
            "file": table["file"],
            "label": table["label"],
            "patient": "covid-" + table["patientid"],
            "source": "covid-chestxray-dataset",
            "license": license_given.where(license_given != "", NOT_STATED),
            **{column: table[column] for column in _KEPT if column in table},
        }
    )
    frame = frame.sort_values("file", ignore_index=True)
    frame.insert(3, "split", draw_splits(frame, shares, seed))
    return frame


def _read(path):
    try:
        with warnings.catch_warnings():
            # A row longer than the header would otherwise lose its last cells with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise SourceError(
            f"covid-chestxray-dataset's folder has metadata.csv and images. Received: {path}, which is no "
            "file. Name the repository's folder."
        ) from error
    except (
        UnicodeDecodeError,
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
    ) as error:
        raise SourceError(
            f"metadata.csv must be comma-separated UTF-8. Received: {path}: {error}. Download it again; a "
            "spreadsheet program may have saved it in another encoding."
        ) from error
    return table.fillna("")


def _metadata(path):
    table = _read(path)
    # Editions of 2020 begin "Patientid" and have a blank before " url".
    table.columns = [str(column).strip().lower() for column in table.columns]
    absent = [column for column in _NEEDED if column not in table]
    if absent:
        raise SourceError(
            f"metadata.csv needs the columns {', '.join(_NEEDED)}. Received: {path}, which lacks "
            f"{', '.join(absent)}. Take the file from the repository."
        )
    repeated = sorted(set(table.columns[table.columns.duplicated()]))
    if repeated:
        raise SourceError(
            f"Each column of metadata.csv must have its own name. Received: {path} with "
            f"{shorten(repeated)} more than once. Take the file from the repository."
        )
    table = table.apply(lambda column: column.str.strip())
    nameless = table.index[table["patientid"] == ""]
    if len(nameless):
        raise SourceError(
            f"Every image must have a patient. Received: {path} with {len(nameless)} rows without "
            f"patientid, the first for {table['filename'][nameless[0]]!r}. Fill them in, or remove the rows."
        )
    table["patientid"] = table["patientid"].str.removesuffix(".0")
    first = table["finding"].str.split(",").str[0]
    table["label"] = first.str.split("/").str[-1].str.strip()
    return table


def _chosen(table, views, findings, modality, folder):
    """The rows that were asked for, each with its file; counts the others in a warning."""
    _check_asked("views", views, table["view"], folder)
    _check_asked("findings", findings, table["label"], folder)
    left_out = []

    def keep(table, wanted, what):
        if not wanted.all():
            left_out.append(f"{(~wanted).sum()} {what}")
        return table[wanted]

    total = len(table)
    table = keep(table, ~table["label"].str.lower().isin(_NO_FINDING_GIVEN), "without a finding")
    if "modality" in table:
        other = f"of another modality than {modality}"
        table = keep(table, table["modality"].str.lower() == modality.lower(), other)
    if views:
        seen = table["view"].str.lower().isin([view.lower() for view in views])
    else:
        seen = table["view"].str.upper().str.split().str[0].isin(["PA", "AP"])
    table = keep(table, seen, f"of other views than {', '.join(views) or 'frontal ones (PA, AP ...)'}")
    # An empty table has no booleans to map: what pandas then takes for column names.
    images = table["filename"].map(lambda name: is_image(pathlib.Path(name))).astype(bool)
    table = keep(table, images, "that are no images")
    if findings:
        wanted = table["label"].str.lower().isin([finding.lower() for finding in findings])
        table = keep(table, wanted, f"with another finding than {', '.join(findings)}")
    if table.empty:
        raise SourceError(
            f"At least one row of metadata.csv must be left. Received: {folder}, with {total} rows: "
            f"{'; '.join(left_out)} left out. Ask for other views or findings."
        )
    if left_out:
        tell(f"covid-chestxray-dataset: {total} rows, of which were left out: {'; '.join(left_out)}.")
    places = table["folder"].where(table["folder"] != "", "images") if "folder" in table else "images"
    return _unrepeated(table.assign(file=places + "/" + table["filename"]), folder)


def _unrepeated(table, folder):
    repeated = table[table.duplicated("file", keep=False)]
    told = repeated.groupby("file")[["patientid", "label"]].nunique().max(axis=1)
    if (told > 1).any():
        raise SourceError(
            f"A file must be one patient's, with one finding. Received: {folder}/metadata.csv, where "
            f"{shorten(told.index[told > 1].tolist())} stands for several. Remove the wrong rows."
        )
    if len(repeated):
        tell(f"covid-chestxray-dataset: {shorten(told.index.tolist())} is listed twice; it was taken once.")
    return table.drop_duplicates("file")


def _check_asked(what, asked, column, folder):
    known = sorted(set(column) - {""})
    unknown = [name for name in asked if name.lower() not in {each.lower() for each in known}]
    if unknown:
        raise SourceError(
            f"The {what} asked for must be among the data set's. Received: {shorten(unknown)} for {folder}. "
            f"There are: {', '.join(known)}; name some of these."
        )
