"""Metrics of subgroups of a split: by sex, age, hospital or any other column of the manifest.

A network may be right for most patients and wrong for some. Subgroups of one column are disjoint; those of
two columns share images. Small subgroups have wide intervals, and among many subgroups one looks bad by
chance.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.manifest.schema import DERIVED_COLUMNS
from semenet.errors import SemenetError
from semenet.metrics.patient_bootstrap import classification_intervals, mean_intervals

NOT_STATED = "not stated"
AGE_BANDS = {"0-17": 0, "18-39": 18, "40-59": 40, "60-79": 60, "80+": 80}
_MAX_NUMBERS = 8
_MAX_VALUES = 20

Bands = list[tuple[str, np.ndarray]]


def subgroups(rows: pd.DataFrame, columns: Sequence[str]) -> dict[str, Bands]:
    """Splits rows by the values of columns.

    Empty cells form the last value, "not stated". A column with more than eight different numbers is binned:
    `age`, in years, into 0-17, 18-39, 40-59, 60-79 and 80+; any other at its quartiles, "1 to below 5" and so
    on. Other columns keep their values, in order.

    Args:
        rows: DataFrame, rows of a manifest.
        columns: names of columns.

    Returns:
        dict from each column to a list of (value, mask): str, and bool array `(N,)` with at least one True.
        Each row is in exactly one mask of a column.

    Raises:
        SemenetError: `rows` has no such column; a column has more than 20 values that are not all numbers;
            an age below 0.
    """
    known = [column for column in rows.columns if column not in DERIVED_COLUMNS]
    missing = [column for column in columns if column not in known]
    if missing:
        raise SemenetError(
            f"Subgroups are made from columns of the manifest. Received: {', '.join(map(repr, missing))}. "
            f"Available: {', '.join(known)}."
        )
    return {column: _bands(column, rows[column]) for column in columns}


def subgroup_metrics(
    true_index: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    rows: pd.DataFrame,
    columns: Sequence[str],
    resamples: int = 1000,
) -> dict[str, Any]:
    """Computes the metrics of a classification for each subgroup.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K); or `(N, K)`, the possible classes.
        probabilities: float array `(N, K)`, in [0, 1].
        class_names: K str, in the order of the columns of `probabilities`.
        rows: DataFrame of N rows of a manifest, with the column `patient`.
        columns: names of columns.
        resamples: number of bootstrap resamples of a subgroup's patients.

    Returns:
        dict, ready for JSON: {column: {value: {`count` of images, `patients`, `classes` {name: count},
        `figures`, the metrics of `semenet.metrics.classification`, None if undefined because a class is
        missing, and `intervals` of `semenet.metrics.patient_bootstrap.classification_intervals`}}}.

    Raises:
        SemenetError: as for `subgroups` and `classification`, or if the numbers of rows and images differ.
    """
    true_index, probabilities = np.asarray(true_index), np.asarray(probabilities)
    _check_rows(rows, len(true_index))

    def measure(mask: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
        arrays = true_index[mask], probabilities[mask], class_names
        values = metrics.classification(*arrays)
        return {
            "classes": {name: of_class["support"] for name, of_class in values["per_class"].items()},
            "figures": values,
            "intervals": classification_intervals(*arrays, patients, resamples),
        }

    return measure_each(rows, columns, measure)


def subgroup_means(
    scores: Mapping[str, Sequence[float] | np.ndarray],
    rows: pd.DataFrame,
    columns: Sequence[str],
    resamples: int = 1000,
) -> dict[str, Any]:
    """Averages per-image scores, such as Dice, over each subgroup.

    Args:
        scores: dict of float arrays `(N,)`, NaN if a score is undefined for an image.
        rows: DataFrame of N rows of a manifest, with the column `patient`.
        columns: names of columns.
        resamples: number of bootstrap resamples of a subgroup's patients.

    Returns:
        dict, ready for JSON: {column: {value: {`count` of images, `patients`, `figures`, the means over the
        images with a defined score, None if there are none, and `intervals` of
        `semenet.metrics.patient_bootstrap.mean_intervals`}}}.

    Raises:
        SemenetError: as for `subgroups` and `mean_intervals`, or if the numbers of rows and images differ.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    for values in arrays.values():
        _check_rows(rows, len(values))

    def measure(mask: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
        chosen = {name: values[mask] for name, values in arrays.items()}
        return {
            "figures": {
                name: None if np.isnan(values).all() else float(np.nanmean(values))
                for name, values in chosen.items()
            },
            "intervals": mean_intervals(chosen, patients, resamples),
        }

    return measure_each(rows, columns, measure)


def measure_each(
    rows: pd.DataFrame,
    columns: Sequence[str],
    measure: Callable[[np.ndarray, np.ndarray], dict[str, Any]],
) -> dict[str, Any]:
    """Measures each subgroup of some columns.

    Args:
        rows: DataFrame of N rows of a manifest, with the column `patient`.
        columns: names of columns.
        measure: function from a mask, bool `(N,)`, and the patients of its images to a dict.

    Returns:
        dict: {column: {value: {`count` of images, `patients`, and what `measure` returned}}}.
    """
    patients = rows["patient"].to_numpy()
    return {
        column: {
            value: {"count": int(mask.sum()), "patients": len(set(patients[mask]))}
            | measure(mask, patients[mask])
            for value, mask in values
        }
        for column, values in subgroups(rows, columns).items()
    }


def _check_rows(rows: pd.DataFrame, images: int) -> None:
    if len(rows) != images:
        raise SemenetError(
            "There must be one row of the manifest for each image. "
            f"Received: {len(rows)} rows for {images} images. Take both from the same split."
        )


def _bands(column: str, cells: Collection[Any]) -> Bands:
    texts = np.array(["" if pd.isna(cell) else str(cell).strip() for cell in cells], dtype=object)
    texts[texts == ""] = NOT_STATED
    stated = texts != NOT_STATED
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(dtype=np.float64)
    all_numbers = np.isfinite(numbers[stated]).all()
    if all_numbers and len(np.unique(numbers[stated])) > _MAX_NUMBERS:
        bands = _age_bands(numbers, stated) if column.lower() == "age" else _quartile_bands(numbers, stated)
    else:
        values = dict(zip(texts[stated], numbers[stated], strict=True))
        _check_count(column, values)
        order = sorted(values, key=lambda text: (values[text] if all_numbers else 0, text))
        bands = [(value, texts == value) for value in order]
    bands = [(name, mask) for name, mask in bands if mask.any()]
    return bands if stated.all() else [*bands, (NOT_STATED, ~stated)]


def _check_count(column: str, values: Mapping[str, float]) -> None:
    if len(values) > _MAX_VALUES:
        example = next((text for text, number in values.items() if not np.isfinite(number)), min(values))
        raise SemenetError(
            f"A column of subgroups has at most {_MAX_VALUES} different values, or only numbers. "
            f"Received: {len(values)} values in {column!r}, including {example!r}. "
            "Group them in a new column; in a column of numbers, leave unknown cells empty."
        )


def _age_bands(ages: np.ndarray, stated: np.ndarray) -> Bands:
    if ages[stated].min() < 0:
        raise SemenetError(
            f"An age must be 0 years or more. Received: {ages[stated].min():g}. "
            "Leave a cell empty if the age is not known."
        )
    starts = list(AGE_BANDS.values())
    band = np.searchsorted(starts, ages, side="right") - 1
    return [(name, stated & (band == number)) for number, name in enumerate(AGE_BANDS)]


def _quartile_bands(numbers: np.ndarray, stated: np.ndarray) -> Bands:
    """Returns bands that include their lower limit but not the upper one, except the last band."""
    # Limits are numbers of the column itself, so that band names are short and the same everywhere.
    limits = np.quantile(numbers[stated], [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf")
    limits = np.unique(limits)
    band = np.clip(np.searchsorted(limits, numbers, side="right") - 1, 0, len(limits) - 2)
    names = [np.format_float_positional(limit, trim="-") for limit in limits]
    return [
        (
            f"{names[number]} to {'below ' if number + 2 < len(limits) else ''}{names[number + 1]}",
            stated & (band == number),
        )
        for number in range(len(limits) - 1)
    ]
