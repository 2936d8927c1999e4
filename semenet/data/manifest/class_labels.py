"""Labels as classes: the class of each row, or the classes that a partial label leaves open.

The label `bacteria|virus` is partial: the image is of one of these classes, and it is not known of which. The
order of the names does not matter.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.names import spelling_remedy

SEPARATOR = "|"


def possible_classes(rows: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Returns which classes each row's label allows.

    Args:
        rows: rows of a manifest, with the columns file, or path, and label.
        class_names: the K names of the classes, in the order of a network's outputs.

    Returns:
        A float32 array of shape (rows, K): 1 for each possible class, 0 for every other. A complete label has
        a single 1, a partial label two or more.

    Raises:
        ManifestError: a label names a class that is not among `class_names`, has an empty part, names a class
            twice, or names all classes.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"file": ["a.png", "b.png"], "label": ["normal", "virus|bacteria"]})
        >>> semenet.data.possible_classes(rows, ("normal", "bacteria", "virus")).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    labels = rows["label"].astype(object)
    codes, distinct = pd.factorize(labels)
    possible = np.zeros((len(distinct), len(class_names)), np.float32)
    unknown, files = [], rows["file" if "file" in rows else "path"].to_numpy()
    for code, label in enumerate(distinct):
        parts = label.split(SEPARATOR)
        file = files[np.flatnonzero(codes == code)[0]]
        missing = [part for part in parts if part not in class_names]
        if missing:
            unknown += [(file, label, part) for part in missing]
            continue
        if len(parts) > 1:
            _check_parts(file, label, parts, class_names)
        possible[code, [list(class_names).index(part) for part in parts]] = 1
    if unknown:
        file, label, _ = unknown[0]
        raise ManifestError(
            f"Every label must be one of the classes {', '.join(class_names)}, or several of them joined by "
            f"{SEPARATOR}. Received: {label!r} for {file} (all unknown classes: "
            f"{shorten(sorted({repr(part) for *_, part in unknown}))}). "
            f"{spelling_remedy(sorted({part for *_, part in unknown}), class_names)}"
            "Remove these rows, or train a network with these classes (--classes)."
        )
    return possible[codes]


def complete_labels(possible: np.ndarray) -> np.ndarray:
    """Returns which rows of `possible_classes` have a complete label: bool, shape (rows,)."""
    return possible.sum(axis=1) == 1


def has_partial_label(labels: pd.Series) -> np.ndarray:
    """Returns which labels are partial, whatever the classes are: bool, shape (rows,)."""
    return labels.astype(str).str.contains(SEPARATOR, regex=False).to_numpy(bool)


def labels_contradict(labels: Sequence[str]) -> bool:
    """Returns whether no class is possible under all of some labels of one image.

    Example:
        >>> semenet.data.manifest.labels_contradict(["bacteria|virus", "virus"])
        False
    """
    return not set.intersection(*(set(label.split(SEPARATOR)) for label in labels))


def _check_parts(file: str, label: str, parts: Sequence[str], class_names: Sequence[str]) -> None:
    if len(set(parts)) < len(parts):
        raise ManifestError(
            f"A partial label names each class once. Received: {label!r} for {file}. Remove the repetition."
        )
    if len(parts) == len(class_names):
        raise ManifestError(
            "A partial label leaves out one class or more: a label that allows all classes says nothing. "
            f"Received: {label!r} for {file}, with the classes {', '.join(class_names)}. Remove this row."
        )
