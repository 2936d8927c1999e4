"""Names of patients, labels and splits: equal names are one, however a program wrote their accents.

An accented letter is one character on most systems, and a letter with a combining accent on macOS. Both look
the same. Names are compared in Unicode's normal form NFC, in which they are equal.
"""

import pathlib
import re
import unicodedata
import warnings
from collections.abc import Iterable

import pandas as pd

from semenet.data.manifest.errors import ManifestError, ManifestWarning

SPLITS = ("train", "val", "test")
# Columns of paths, which are what the file system says.
_PATHS = frozenset(("file", "mask", "shard"))
_MAX_SHOWN = 5
_NUMBER = re.compile(r"0*([0-9]+?)(?:\.0*)?")


def normal_form(name: str) -> str:
    r"""Returns a name in Unicode's normal form NFC.

    Example:
        >>> from semenet.data.manifest import normal_form
        >>> normal_form("Jose\u0301") == "Jos\u00e9"
        True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def normalized(values: pd.Series) -> pd.Series:
    """Returns a column with its names in normal form; values that are not text stay as they are."""
    changed = {
        value: new
        for value in values.unique().tolist()
        if isinstance(value, str) and (new := normal_form(value)) != value
    }
    if not changed:
        return values
    return values.map(lambda value: changed.get(value, value) if isinstance(value, str) else value)


def normalize_names(rows: pd.DataFrame) -> None:
    """Brings column names and all cells except paths into normal form, in place."""
    for column in rows.columns:
        if column not in _PATHS:
            rows[column] = normalized(rows[column])
    rows.columns = [normal_form(column) for column in rows.columns]


def check_split_names(path: pathlib.Path, splits: pd.Series) -> None:
    """Rejects splits that differ from another split, or from train, val and test, only in case.

    `Train` would be no training split, and a patient in `Train` and `test` would not be noticed.

    Args:
        path: the CSV file, for the message.
        splits: the column.

    Raises:
        ManifestError: there is such a split; the message says how often.
    """
    counts = splits.value_counts(sort=False)
    spellings: dict[str, list[str]] = {}
    for name in (*SPLITS, *counts.index):
        of_name = spellings.setdefault(name.casefold(), [])
        if name not in of_name:
            of_name.append(name)
    wrong = [(name, of_name[0]) for of_name in spellings.values() for name in of_name[1:]]
    if wrong:
        found = ", ".join(f"{name!r} ({counts[name]} rows) for {right!r}" for name, right in wrong)
        raise ManifestError(
            "Splits must not differ only in upper and lower case, and train, val and test are written in "
            f"lower case. Received: {path} with {found}. Correct the spelling."
        )


def warn_of_similar_patients(path: pathlib.Path, rows: pd.DataFrame) -> None:
    """Warns of patients whose names look alike: they may be one person.

    Such names differ only in case, white space, characters that are not seen or are wider, or, for numbers,
    in zeros that a spreadsheet adds or leaves out.

    Args:
        path: the CSV file, for the message.
        rows: DataFrame with the column patient, and split if it is known.

    Warns:
        ManifestWarning: there are such patients; the message names them and their splits.
    """
    patients = rows["patient"].unique().tolist()
    groups: dict[str, list[str]] = {}
    for patient in patients:
        groups.setdefault(_seen(patient), []).append(patient)
    if len(groups) == len(patients):
        return
    similar = [sorted(names) for names in groups.values() if len(names) > 1]
    shown = "; ".join(_describe(names, rows) for names in similar[:_MAX_SHOWN])
    more = f"; and {len(similar) - _MAX_SHOWN} more" if len(similar) > _MAX_SHOWN else ""
    warnings.warn(
        "Different names are different patients, also if they differ only in case, white space, characters "
        "that are not seen, or zeros of a number. "
        f"Received: {path} with {len(similar)} such groups: {shown}{more}. If they are one patient, write "
        "the name in one way, since that patient could be in two splits.",
        ManifestWarning,
        stacklevel=3,
    )


def spelling_remedy(labels: Iterable[str], class_names: Iterable[str]) -> str:
    """Returns how to spell labels that differ from a class only in case or white space; "" if none does.

    Example:
        >>> from semenet.data.manifest.names import spelling_remedy
        >>> spelling_remedy(["Normal", "edema"], ["normal", "virus"])
        "Write 'normal' for 'Normal'. "
    """
    right = {_seen(name): name for name in class_names}
    keys = {label: _seen(label) for label in labels}
    pairs = [f"{right[key]!r} for {label!r}" for label, key in keys.items() if key in right]
    return f"Write {', '.join(pairs)}. " if pairs else ""


def _seen(name: str) -> str:
    """Returns what names that look alike have in common."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
        name = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    name = "".join(name.casefold().split())
    return number[1] if (number := _NUMBER.fullmatch(name)) else name


def _describe(names: Iterable[str], rows: pd.DataFrame) -> str:
    parts = []
    for name in names:
        splits = sorted(rows.loc[rows["patient"] == name, "split"].unique()) if "split" in rows else []
        parts.append(repr(name) + (f" ({' and '.join(splits)})" if splits else ""))
    return " and ".join(parts)
