"""COVIDx (COVID-Net): text lists and their images."""

import pathlib
from collections.abc import Mapping

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.kermany import parse_kermany_name
from semenet.data.sources.source_rows import (
    NOT_STATED,
    SPLITS,
    SourceError,
    SourceNotFoundError,
    check_val_share,
    draw_splits,
    keep_existing_files,
    keep_patients_whole,
)

# Labels of editions 1 to 9 of the lists, and of the lists for CXR-2 to CXR-4; keys in lower case.
_LABELS = {
    "normal": "normal",
    "pneumonia": "pneumonia",
    "covid-19": "COVID-19",
    "bacteria": "bacteria",
    "viral": "viral",
    "positive": "positive",
    "negative": "negative",
}


def read_covidx(
    folder: pathlib.Path | str,
    *,
    lists: Mapping[str, pathlib.Path | str] | None = None,
    val_share: float = 0.1,
    on_error: str = "raise",
    seed: int = 0,
) -> pd.DataFrame:
    """Turns COVIDx into the rows of a manifest.

    A line of a list is "patientid filename label source", or in the first editions "patientid filename
    label". A patient in several lists is moved to the last of train, val and test. If there is no list for
    val, whole training patients are drawn for it. COVIDx combines other data sets: patients have the names
    that they have in manifests of these ("covid-7" of covid-chestxray-dataset, "virus-person7" of Kermany),
    so that a patient in two manifests can be found.

    Reference: Wang et al., Scientific Reports 10 (2020) 19549; https://github.com/lindawangg/COVID-Net. Each
    combined data set has its own licence; the lists do not state it.

    Args:
        folder: folder with the lists and with the images in train/ and test/ (and optionally val/).
        lists: paths of the lists of "train", "val" and "test". For a part without a path, or None for all
            parts, the only file in `folder` whose name begins with the part's name and ends in .txt.
        val_share: share of the training patients that becomes val if there is no list for it, in (0, 1).
        on_error: "raise" to raise an error that lists missing files, "skip" to leave them out and list them
            in a `SourceWarning`.
        seed: seed of the draw of val.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label` (as listed: "normal", "pneumonia", "COVID-19",
        "positive", "negative" ...), `patient`, `split`, `source` ("covidx-" and the listed source) and
        `license`.

    Raises:
        SourceError: a list is missing, ambiguous or unreadable, or has a line with another form or an unknown
            label; two lines have the same file; a listed file is missing.
        SemenetError: `val_share` or `on_error` is invalid.
    """
    check_val_share(val_share)
    folder = pathlib.Path(folder)
    lists = _find_lists(folder, lists or {})
    rows = []
    for part, path in lists.items():
        rows += [_row(line, f"{path}, line {number}", part) for number, line in _read_lines(path)]
    if not rows:
        raise SourceError(
            "A list of COVIDx must have one line per image. "
            f"Received: {', '.join(map(str, lists.values()))}, all empty. Download the lists again."
        )
    frame = pd.DataFrame(rows)
    _check_listed_once(frame, folder)
    frame = keep_patients_whole(keep_existing_files(frame, folder, on_error, "COVIDx"))
    if "val" not in lists:
        train = frame[frame["split"] == "train"]
        drawn = draw_splits(train, {"train": 1 - val_share, "val": val_share}, seed)
        frame.loc[train.index, "split"] = drawn
    return frame.sort_values("file", ignore_index=True)


def _find_lists(folder: pathlib.Path, given: Mapping[str, pathlib.Path | str]) -> dict[str, pathlib.Path]:
    found = {part: pathlib.Path(path) for part, path in given.items()}
    for part in SPLITS:
        if part in found:
            continue
        paths = sorted(path for path in folder.glob(f"{part}*.txt") if not path.name.startswith("."))
        if len(paths) > 1:
            raise SourceError(
                f"Each part must have one list. Received: {folder} with "
                f"{shorten([path.name for path in paths])} for {part}, lists of several editions. Pass the "
                f"one to use (--{part}-list)."
            )
        if paths:
            found[part] = paths[0]
    missing = [part for part in ("train", "test") if part not in found]
    if missing:
        raise SourceNotFoundError(
            "COVIDx's folder must have the lists train*.txt and test*.txt and the folders train and test. "
            f"Received: {folder}, without a list for {' and '.join(missing)}. Copy it from the folder labels "
            "of the repository COVID-Net, or pass its path (--train-list, --test-list)."
        )
    return found


def _read_lines(path: pathlib.Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceNotFoundError(
            f"A list of COVIDx must be a text file. Received: {path}, which is not a file. Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"A list of COVIDx must be UTF-8 text. Received: {path}: {error}. Download it again."
        ) from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _row(line: str, location: str, part: str) -> dict[str, str]:
    cells = line.split()
    # Patient names of SIRM contain a space: "COVID 51 COVID(51).png positive sirm".
    if len(cells) >= 4 and cells[-2].lower() in _LABELS:
        *identity, name, label, source = cells
    elif len(cells) >= 3 and cells[-1].lower() in _LABELS:
        *identity, name, label = cells
        source = "unnamed"
    else:
        raise SourceError(
            "A line of COVIDx must be `patientid filename label source` or `patientid filename label`, with "
            f"a label among {', '.join(_LABELS.values())}. Received: {line.strip()!r} in {location}. Fix or "
            "remove it."
        )
    in_kermany = parse_kermany_name(pathlib.PurePosixPath(name).stem)
    patient = f"{'covid' if source == 'cohen' else source}-{' '.join(identity)}"
    return {
        "file": f"{part}/{name}",
        "label": _LABELS[label.lower()],
        "patient": in_kermany[1] if in_kermany else patient,
        "split": part,
        "source": f"covidx-{source}",
        "license": NOT_STATED,
    }


def _check_listed_once(frame: pd.DataFrame, folder: pathlib.Path) -> None:
    repeated = frame["file"][frame.duplicated("file")].tolist()
    if repeated:
        raise SourceError(
            f"Each file must be listed once. Received: {shorten(repeated)} several times in the lists of "
            f"{folder}. Remove all lines but one."
        )
