"""The text lists of COVIDx (COVID-Net) and their images to the rows of a manifest."""

import pathlib

import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.sources.kermany import (
    NOT_STATED,
    SPLITS,
    SourceError,
    draw_splits,
    keep_patients_whole,
    keep_present,
    kermany_name,
)
from semenet.errors import SemenetError

# Of the lists' editions 1 to 9 and of those for CXR-2 to CXR-4, in lower case.
_LABELS = {
    "normal": "normal",
    "pneumonia": "pneumonia",
    "covid-19": "COVID-19",
    "bacteria": "bacteria",
    "viral": "viral",
    "positive": "positive",
    "negative": "negative",
}


def covidx(folder, *, lists=None, val_share=0.1, on_error="raise", seed=0):
    """Turns COVIDx into the rows of a manifest.

    A line of a list is "patientid filename label source", or in the first editions "patientid filename
    label". A patient in several lists goes whole into the last of train, val and test; where no list is for
    val, whole patients of train are drawn for it. COVIDx gathers other data sets: patients are named
    as their own source names them ("covid-7" of covid-chestxray-dataset, "virus-person7" of
    Kermany), so that one patient in two manifests can be found.

    Reference: Wang et al., Scientific Reports 10 (2020) 19549; https://github.com/lindawangg/COVID-Net. Every
    gathered data set has its own licence; the lists name none.

    Args:
        folder: the folder with train/ and test/ (and val/, if there is one) that hold the images, and the
            lists.
        lists: dict of "train", "val" or "test" to the path of its list; for a part that is not named, or None
            for all, the only file in `folder` whose name begins so and ends .txt.
        val_share: float in (0, 1), the share of the training patients that become val where no list is for
            it.
        on_error: "raise" for an error that names listed files which are absent, "skip" to leave them out and
            name them in a `SourceWarning`.
        seed: int, of the draw of val.

    Returns:
        A DataFrame of text, sorted by `file`: `file`, `label` (as listed: "normal", "pneumonia", "COVID-19",
        "positive", "negative" ...), `patient`, `split`, `source` ("covidx-" and the listed source) and
        `license`.

    Raises:
        SourceError: a list is absent, ambiguous, unreadable, or has a line of another form or with another
            label; two lines name one file; a listed file is absent.
        ValueError: `val_share` or `on_error` is out of its range.
    """
    if not 0 < val_share < 1:
        raise SemenetError(f"`val_share` must lie between 0 and 1. Received: {val_share}. The usual is 0.1.")
    folder = pathlib.Path(folder)
    lists = _lists(folder, lists or {})
    rows = []
    for part, path in lists.items():
        rows += [_row(line, f"{path}, line {number}", part) for number, line in _lines(path)]
    if not rows:
        raise SourceError(
            f"A list of COVIDx has a line an image. Received: {', '.join(map(str, lists.values()))}, "
            "all empty. Download the lists again."
        )
    frame = pd.DataFrame(rows)
    _check_listed_once(frame, folder)
    frame = keep_patients_whole(keep_present(frame, folder, on_error, "COVIDx"))
    if "val" not in lists:
        train = frame[frame["split"] == "train"]
        drawn = draw_splits(train, {"train": 1 - val_share, "val": val_share}, seed)
        frame.loc[train.index, "split"] = drawn
    return frame.sort_values("file", ignore_index=True)


def _lists(folder, named):
    found = {part: pathlib.Path(path) for part, path in named.items()}
    for part in SPLITS:
        if part in found:
            continue
        paths = sorted(path for path in folder.glob(f"{part}*.txt") if not path.name.startswith("."))
        if len(paths) > 1:
            raise SourceError(
                f"Each part must have one list. Received: {folder} with "
                f"{shorten([path.name for path in paths])} for {part}, which differ by edition. Name the "
                f"one to use (--{part}-list)."
            )
        if paths:
            found[part] = paths[0]
    absent = [part for part in ("train", "test") if part not in found]
    if absent:
        raise SourceError(
            "COVIDx has the lists train*.txt and test*.txt beside the folders train and test. "
            f"Received: {folder}, without one for {' and '.join(absent)}. Copy it from the folder labels of "
            "the repository COVID-Net, or name it (--train-list, --test-list)."
        )
    return found


def _lines(path):
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceError(
            f"A list of COVIDx is a text file. Received: {path}, which is none. Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"A list of COVIDx is UTF-8 text. Received: {path}: {error}. Download it again."
        ) from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _row(line, where, part):
    cells = line.split()
    # SIRM's patients have a blank in them: "COVID 51 COVID(51).png positive sirm".
    if len(cells) >= 4 and cells[-2].lower() in _LABELS:
        *identity, name, label, source = cells
    elif len(cells) >= 3 and cells[-1].lower() in _LABELS:
        *identity, name, label = cells
        source = "unnamed"
    else:
        raise SourceError(
            "A line of COVIDx is `patientid filename label source` or `patientid filename label`, the label "
            f"among {', '.join(_LABELS.values())}. Received: {line.strip()!r} in {where}. Mend or remove it."
        )
    kermanys = kermany_name(pathlib.PurePosixPath(name).stem)
    own = f"{'covid' if source == 'cohen' else source}-{' '.join(identity)}"
    return {
        "file": f"{part}/{name}",
        "label": _LABELS[label.lower()],
        "patient": kermanys[1] if kermanys else own,
        "split": part,
        "source": f"covidx-{source}",
        "license": NOT_STATED,
    }


def _check_listed_once(frame, folder):
    repeated = frame["file"][frame.duplicated("file")].tolist()
    if repeated:
        raise SourceError(
            f"A file must be listed once. Received: {shorten(repeated)} in the lists of {folder}, more than "
            "once. Remove all lines but one."
        )
