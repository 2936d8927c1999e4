"""A downloaded folder as its publisher lays it out: its tables, its images, and their DICOM headers."""

import pathlib
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.csv_format import CsvFormat, find_format
from semenet.data.manifest.errors import ManifestError
from semenet.data.sources.source_rows import SourceError, SourceNotFoundError, is_image_file


def find_table(folder: pathlib.Path, names: Sequence[str], publisher: str) -> pathlib.Path:
    """Returns the first of several names, or shell patterns, that a folder holds.

    Raises:
        SourceNotFoundError: the folder holds none of them.
        SourceError: several files match the same pattern.
    """
    for name in names:
        found = sorted(path for path in folder.glob(name) if path.is_file())
        if len(found) > 1:
            raise SourceError(
                f"{publisher}'s folder must have one table {name}. Received: {folder} with "
                f"{shorten([path.name for path in found])}. Remove all but one."
            )
        if found:
            return found[0]
    raise SourceNotFoundError(
        f"{publisher}'s folder must have the table {' or '.join(names)}. Received: {folder}, which does not "
        "have it. Pass the folder that the archive was unpacked into."
    )


def read_table(path: pathlib.Path, required: Sequence[str], publisher: str) -> pd.DataFrame:
    """Reads a publisher's CSV file, also if it is compressed.

    Args:
        path: the CSV file, .csv or .csv.gz.
        required: columns that it must have.
        publisher: name of the data set, for messages.

    Returns:
        A DataFrame of text without white space around column names and cells. Missing cells are "". Columns
        without a name are left out.

    Raises:
        SourceError: the file is not a CSV file, or a required column is missing.
    """
    try:
        # A compressed table is as its publisher packed it.
        packed = path.suffix == ".gz"
        form = CsvFormat() if packed else find_format(path, required, f"A table of {publisher}")
        table = form.read(path)
    except (
        ManifestError,
        OSError,
        UnicodeError,
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
    ) as error:
        raise SourceError(
            f"A table of {publisher} must be comma-separated UTF-8 text. Received: {path}: {error}. Download "
            "it again; a spreadsheet program may have saved it in another encoding."
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    missing = [column for column in required if column not in table]
    if missing:
        raise SourceError(
            f"This table of {publisher} must have the columns {', '.join(required)}. Received: {path} "
            f"without {', '.join(missing)}. Download it again."
        )
    named = [column for column in table if column and not column.startswith("Unnamed: ")]
    table = table.fillna("")
    return pd.DataFrame({column: table[column].str.strip() for column in named})


def index_images(
    tops: Iterable[pathlib.Path], folder: pathlib.Path, *, by_stem: bool = False
) -> dict[str, str]:
    """Lists the images below folders by their names.

    Args:
        tops: the folders to search, at any depth.
        folder: folder that the returned paths are relative to.
        by_stem: whether the names are those without suffix.

    Returns:
        Maps names to paths with forward slashes.

    Raises:
        SourceError: two images have the same name.
    """
    found: dict[str, str] = {}
    for top in tops:
        for path in sorted(top.rglob("*")):
            if not is_image_file(path) or not path.is_file():
                continue
            name = path.stem if by_stem else path.name
            relative = path.relative_to(folder).as_posix()
            if name in found:
                raise SourceError(
                    f"Each image must have its own name. Received: {folder} with {found[name]} and "
                    f"{relative}. Remove one of the two copies."
                )
            found[name] = relative
    return found


def read_dicom_headers(
    paths: Sequence[pathlib.Path],
    keywords: Sequence[str],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> pd.DataFrame:
    """Reads attributes of DICOM files without their pixels.

    Args:
        paths: the files. For those that do not exist, all attributes are "".
        keywords: the attributes' keywords, such as "PatientID".
        progress: is called with the numbers of read and of all files.

    Returns:
        A DataFrame of text with one row for each path and the columns `keywords`; missing attributes are "".

    Raises:
        SourceError: a file is not a DICOM file.
    """
    import pydicom

    rows = []
    for done, path in enumerate(paths, 1):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
            rows.append([str(header.get(keyword) or "").strip() for keyword in keywords])
        except FileNotFoundError:
            rows.append([""] * len(keywords))
        except (pydicom.errors.InvalidDicomError, OSError, EOFError) as error:
            raise SourceError(
                f"An image of this data set must be a DICOM file. Received: {path}: {error}. "
                "Download it again."
            ) from error
        progress(done, len(paths))
    return pd.DataFrame(rows, columns=list(keywords), dtype=str)
