"""Several labels of one image: a column for each finding, with 1, 0, or nothing if it is not known.

The column is named `label:NAME`, or `NAME` as sources write it (`semenet data chexpert`).
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import ManifestError, describe_lines, shorten

PREFIX = "label:"
# The target of a label that is not known.
UNKNOWN = -1.0

_VALUES = {"": UNKNOWN, "uncertain": UNKNOWN, "0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}


def label_columns(rows: pd.DataFrame) -> list[str]:
    """Returns the names of the findings that a manifest has columns for, without the prefix."""
    return [column.removeprefix(PREFIX) for column in rows.columns if column.startswith(PREFIX)]


def check_label_columns(path: pathlib.Path, rows: pd.DataFrame) -> None:
    """Checks the cells of all columns `label:NAME`.

    Args:
        path: the CSV file, for the message.
        rows: DataFrame of text.

    Raises:
        ManifestError: a cell has another value; the message gives its line.
    """
    for name in label_columns(rows):
        wrong = np.flatnonzero(~rows[PREFIX + name].isin(_VALUES))
        if len(wrong):
            raise ManifestError(
                "The column of a finding holds 1 (has it), 0 (has it not), uncertain, or nothing. "
                f"Received: {rows[PREFIX + name].iloc[wrong[0]]!r} in {PREFIX}{name} of {path}, "
                f"{describe_lines(path, wrong.tolist())}. Correct the cells."
            )


def known_labels(rows: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Returns the labels of images that may have several findings, or none.

    A finding's column is `label:NAME` or, where there is none, `NAME`. Of a manifest without such columns,
    `label` states them: the named class is 1 and every other 0; of a partial label (`A|B`) the named classes
    are not known; for a single class, every other label is 0.

    Args:
        rows: rows of a manifest.
        class_names: the K names of the findings, in the order of a network's outputs.

    Returns:
        A float32 array of shape (rows, K): 1, 0, or `UNKNOWN` (-1).

    Raises:
        ManifestError: a column is missing, or a value is not 1, 0, "uncertain" or empty.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"label:edema": ["1", "0"], "label:effusion": ["", "1"]})
        >>> semenet.data.known_labels(rows, ("edema", "effusion")).tolist()
        [[1.0, -1.0], [0.0, 1.0]]
    """
    columns = {name: next((c for c in (PREFIX + name, name) if c in rows), None) for name in class_names}
    missing = [name for name, column in columns.items() if column is None]
    if len(missing) == len(class_names) and not label_columns(rows) and "label" in rows:
        return _from_label(rows, class_names)
    if missing:
        raise ManifestError(
            f"A network with several labels needs a column {PREFIX}NAME for each finding: "
            f"{', '.join(class_names)}. Received: no {shorten([PREFIX + name for name in missing])}. "
            "Add them, for example with `semenet data findings`, or pass --classes with the findings that "
            "the manifest has."
        )
    labels = np.empty((len(rows), len(class_names)), np.float32)
    for index, column in enumerate(columns.values()):
        values = rows[column].astype(str).map(_VALUES)
        if values.isna().any():
            first = rows.iloc[int(np.flatnonzero(values.isna())[0])]
            raise ManifestError(
                "The column of a finding holds 1 (has it), 0 (has it not), uncertain, or nothing. "
                f"Received: {first[column]!r} in the column {column}, for {first['file']}. Correct the "
                "cells, or pass --classes with the names of findings."
            )
        labels[:, index] = values
    return labels


def split_findings(
    values: pd.Series, findings: Sequence[str] = (), *, none: str = "No Finding", separator: str = "|"
) -> pd.DataFrame:
    """Turns a column that lists findings, such as `Edema|Effusion`, into columns of 0, 1 and nothing.

    Args:
        values: the lists; an empty one means that nothing is known.
        findings: the findings to make columns for; () for all that occur, sorted.
        none: the word for an image without any finding.
        separator: what stands between two findings.

    Returns:
        DataFrame of text with a column `label:NAME` for each finding: "1", "0", or "" for an empty value.

    Raises:
        ManifestError: a finding of `findings` never occurs, or `none` stands beside a finding.

    Example:
        >>> import pandas as pd
        >>> table = semenet.data.split_findings(pd.Series(["Edema|Effusion", "No Finding", ""]))
        >>> table.to_dict("list")
        {'label:Edema': ['1', '0', ''], 'label:Effusion': ['1', '0', '']}
    """
    lists = [[part.strip() for part in str(value).split(separator) if part.strip()] for value in values]
    occurring = {part for parts in lists for part in parts}
    both = next((parts for parts in lists if none in parts and len(parts) > 1), None)
    if both is not None:
        raise ManifestError(
            f"An image has findings, or {none!r}. Received: {separator.join(both)!r}. Correct the row."
        )
    unknown = [name for name in findings if name not in occurring]
    if unknown:
        raise ManifestError(
            f"Findings must occur in the column. Received: {', '.join(unknown)}. There are: "
            f"{', '.join(sorted(occurring - {none}))}."
        )
    names = list(findings) or sorted(occurring - {none})
    return pd.DataFrame(
        {
            PREFIX + name: [("1" if name in parts else "0") if parts else "" for parts in lists]
            for name in names
        },
        index=values.index,
    )


def _from_label(rows: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    parts = [str(label).split("|") for label in rows["label"]]
    labels = np.zeros((len(rows), len(class_names)), np.float32)
    for row, names in enumerate(parts):
        unknown = [name for name in names if name not in class_names]
        if unknown and len(class_names) > 1:
            raise ManifestError(
                f"Every label must be one of the classes {', '.join(class_names)}. Received: "
                f"{rows['label'].iloc[row]!r} for {rows['file'].iloc[row]}. Remove these rows, or add "
                f"columns {PREFIX}NAME."
            )
        for name in set(names) & set(class_names):
            labels[row, list(class_names).index(name)] = 1 if len(names) == 1 else UNKNOWN
    return labels
