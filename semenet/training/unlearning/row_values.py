"""What unlearning needs to know about each training image: its group and its source, as numbers."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import ManifestError, shorten
from semenet.training.recipe import Recipe

EMPTY = "(empty)"


@dataclasses.dataclass(frozen=True)
class UnlearningValues:
    """The values of the training rows, and what they mean.

    Attributes:
        of_rows: arrays `(rows,)` by name, for `training_batches`. `group`: int32, the group of the row, with
            group DRO. `source` and `within`: int32, and `source_weight`: float32, the row's weight in the
            source classifier's loss, 0 where its source is not known, with a source classifier.
        groups: the names of the groups, in the order of their numbers.
        group_counts: int `(groups,)`, the rows of each group.
        sources: the names of the sources.
        within: the values within which sources are compared; one empty name where all are compared.
        sha256: hash of all this; None where the recipe uses no column.
    """

    of_rows: dict[str, np.ndarray]
    groups: tuple[str, ...] = ()
    group_counts: np.ndarray | None = None
    sources: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    sha256: str | None = None


def unlearning_values(recipe: Recipe, rows: pd.DataFrame, path: str | pathlib.Path) -> UnlearningValues:
    """Reads the columns that a recipe names in `group_by`, `unlearn` and `unlearn_within`.

    Every combination of values is a group; an empty cell counts as a value. A row whose source, or value of
    `unlearn_within`, is empty does not count for the source classifier. The weights of the others balance the
    sources: within each value of `unlearn_within`, all its sources have the same sum of weights, and that sum
    is proportional to the number of its rows; the mean of the weights above 0 is 1. A value with only one
    source has nothing to compare: its rows get the weight 0.

    Args:
        recipe: the recipe.
        rows: the training rows of the manifest.
        path: the manifest's path, for messages.

    Returns:
        The values.

    Raises:
        ManifestError: a column is missing, or there is only one group or one source.

    Example:
        >>> import pandas as pd
        >>> from semenet.training.unlearning import unlearning_values
        >>> rows = pd.DataFrame({"label": ["normal", "normal", "virus"], "source": ["A", "B", "B"]})
        >>> recipe = semenet.training.Recipe("resnet50_gap", group_by=("label", "source"), dro_step=0.01)
        >>> values = unlearning_values(recipe, rows, "manifest.csv")
        >>> values.groups, values.of_rows["group"].tolist()
        (('normal/A', 'normal/B', 'virus/B'), [0, 1, 2])
    """
    of_rows, named = {}, {}
    if recipe.dro_step:
        numbers, groups = _groups(rows, recipe.group_by, path)
        of_rows["group"] = numbers
        named |= {"groups": groups, "group_counts": np.bincount(numbers)}
    if recipe.unlearn is not None:
        source, sources = _numbers(_column(rows, recipe.unlearn, "--unlearn", path))
        if len(sources) < 2:
            raise ManifestError(
                "A source classifier needs two sources or more. Received: "
                f"{path}, whose column {recipe.unlearn!r} has {_listed(sources)} in the split train. Pass "
                "another column as --unlearn."
            )
        within, values = np.zeros_like(source), ("",)
        if recipe.unlearn_within is not None:
            within, values = _numbers(_column(rows, recipe.unlearn_within, "--unlearn-within", path))
        weights = _balanced(source, within)
        if not weights.any():
            raise ManifestError(
                "A source classifier that compares images within one value of a column needs a value with "
                f"two sources or more. Received: {path}, where every value of {recipe.unlearn_within!r} has "
                f"one value of {recipe.unlearn!r} alone. Leave --unlearn-within out, or add images."
            )
        of_rows |= {
            "source": np.maximum(source, 0),
            "within": np.maximum(within, 0),
            "source_weight": weights,
        }
        named |= {"sources": sources, "within": values}
    return UnlearningValues(of_rows, **named, sha256=_hash(of_rows, named) if of_rows else None)


def _column(rows: pd.DataFrame, name: str, option: str, path: str | pathlib.Path) -> pd.Series:
    if name not in rows:
        raise ManifestError(
            f"{option} must name a column of the manifest. Received: {name!r} for {path}, which has the "
            f"columns {', '.join(rows.columns)}. Pass one of these."
        )
    return rows[name].astype(str)


def _groups(
    rows: pd.DataFrame, columns: Sequence[str], path: str | pathlib.Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    cells = [_column(rows, name, "--group-by", path).replace("", EMPTY) for name in columns]
    numbers, names = _numbers(cells[0].str.cat(cells[1:], sep="/") if len(cells) > 1 else cells[0])
    if len(names) < 2:
        raise ManifestError(
            f"Group DRO needs two groups or more. Received: {path}, whose columns {', '.join(columns)} have "
            f"only {_listed(names)} in the split train. Pass other columns as --group-by."
        )
    return numbers, names


def _numbers(cells: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the number of each cell, int32 and -1 if it is empty, and the names of the numbers, sorted."""
    names = tuple(sorted(set(cells) - {""}))
    return pd.Index(names, dtype=object).get_indexer(cells.astype(object)).astype(np.int32), names


def _balanced(source: np.ndarray, within: np.ndarray) -> np.ndarray:
    known = pd.DataFrame({"source": source, "within": within})[(source >= 0) & (within >= 0)]
    of_value = known.groupby("within")["source"]
    sources = of_value.transform("nunique")
    weights = np.zeros(len(source), np.float32)
    images = known.groupby(["within", "source"])["source"].transform("size")
    share = of_value.transform("size") / (sources * images)
    weights[known.index] = share.where(sources > 1, 0.0)
    return weights


def _listed(names: Sequence[str]) -> str:
    return shorten([repr(name) for name in names]) if names else "no value"


def _hash(of_rows: dict[str, np.ndarray], named: dict[str, object]) -> str:
    digest = hashlib.sha256()
    for name, array in of_rows.items():
        digest.update(name.encode() + array.tobytes())
    digest.update(repr([list(map(str, values)) for values in named.values()]).encode())
    return digest.hexdigest()
