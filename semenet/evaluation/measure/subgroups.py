"""Figures of the parts of a split: by sex, age, hospital, or whatever a manifest's columns say.

A network may be right of most and wrong of some. The subgroups of one column are apart from each other;
those of two columns share images. Small ones have wide intervals, and among many one looks bad by chance.
"""

import numpy as np
import pandas as pd

from semenet import metrics
from semenet.data.manifest.schema import DERIVED_COLUMNS
from semenet.errors import SemenetError
from semenet.metrics.patient_bootstrap import classification_intervals, mean_intervals

NOT_STATED = "not stated"
AGE_BANDS = {"0-17": 0, "18-39": 18, "40-59": 40, "60-79": 60, "80+": 80}
_MOST_NUMBERS = 8
_MOST_VALUES = 20


def subgroups(rows, columns):
    """Splits rows by the values of columns.

    Empty cells are the value "not stated", the last one. A column of numbers, more than eight of them
    different, falls into bands: `age`, in years, into 0-17, 18-39, 40-59, 60-79 and 80+; any other at its
    quartiles, "1 to below 5" and so on. Other columns keep their values, in order.

    Args:
        rows: DataFrame, rows of a manifest.
        columns: sequence of str, names of columns.

    Returns:
        dict of each column to a list of (value, mask): str, and bool array `(N,)` with True somewhere.
        Each row is in one mask of a column.

    Raises:
        ValueError: `rows` has no such column; a column has more than 20 values and they are not all
            numbers; an age below 0.
    """
    known = [column for column in rows.columns if column not in DERIVED_COLUMNS]
    absent = [column for column in columns if column not in known]
    if absent:
        raise SemenetError(
            f"Subgroups are made of columns of the manifest. Received: {', '.join(map(repr, absent))}. "
            f"There are: {', '.join(known)}."
        )
    return {column: _values(column, rows[column]) for column in columns}


def subgroup_figures(true_index, probabilities, class_names, rows, columns, resamples=1000):
    """Figures of a classification, of each subgroup by itself.

    Args:
        true_index: int array `(N,)`, each image's class, in [0, K).
        probabilities: float array `(N, K)`, in [0, 1].
        class_names: K str, in the order of the columns of `probabilities`.
        rows: DataFrame of N rows of a manifest, with the column `patient`.
        columns: sequence of str, names of columns.
        resamples: int, how many times the patients of a subgroup are drawn anew.

    Returns:
        dict, ready for JSON: {column: {value: {`count` of images, `patients`, `classes` {name: count},
        `figures` of `semenet.metrics.classification`, None where a class is missing, and `intervals`
        of `semenet.metrics.patient_bootstrap.classification_intervals`}}}.

    Raises:
        ValueError: as `subgroups` and `classification`, or `rows` has another number of rows than images.
    """
    true_index, probabilities = np.asarray(true_index), np.asarray(probabilities)
    _check_rows(rows, len(true_index))

    def measure(mask, patients):
        arrays = true_index[mask], probabilities[mask], class_names
        figures = metrics.classification(*arrays)
        return {
            "classes": {name: of_class["support"] for name, of_class in figures["per_class"].items()},
            "figures": figures,
            "intervals": classification_intervals(*arrays, patients, resamples),
        }

    return _each(rows, columns, measure)


def subgroup_means(scores, rows, columns, resamples=1000):
    """Mean scores of the images of each subgroup, such as Dice.

    Args:
        scores: dict of float arrays `(N,)`, NaN where an image has no such score.
        rows: DataFrame of N rows of a manifest, with the column `patient`.
        columns: sequence of str, names of columns.
        resamples: int, how many times the patients of a subgroup are drawn anew.

    Returns:
        dict, ready for JSON: {column: {value: {`count` of images, `patients`, `figures`, the means over the
        images that have the score, None where none has, and `intervals` of
        `semenet.metrics.patient_bootstrap.mean_intervals`}}}.

    Raises:
        ValueError: as `subgroups` and `mean_intervals`, or `rows` has another number of rows than images.
    """
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    for values in scores.values():
        _check_rows(rows, len(values))

    def measure(mask, patients):
        chosen = {name: values[mask] for name, values in scores.items()}
        return {
            "figures": {
                name: None if np.isnan(values).all() else float(np.nanmean(values))
                for name, values in chosen.items()
            },
            "intervals": mean_intervals(chosen, patients, resamples),
        }

    return _each(rows, columns, measure)


def _each(rows, columns, measure):
    patients = rows["patient"].to_numpy()
    return {
        column: {
            value: {"count": int(mask.sum()), "patients": len(set(patients[mask]))}
            | measure(mask, patients[mask])
            for value, mask in values
        }
        for column, values in subgroups(rows, columns).items()
    }


def _check_rows(rows, images):
    if len(rows) != images:
        raise SemenetError(
            "There must be one row of the manifest for each image. "
            f"Received: {len(rows)} rows for {images} images. Take both from the same split."
        )


def _values(column, cells):
    texts = np.array(["" if pd.isna(cell) else str(cell).strip() for cell in cells], dtype=object)
    texts[texts == ""] = NOT_STATED
    stated = texts != NOT_STATED
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(dtype=np.float64)
    all_numbers = np.isfinite(numbers[stated]).all()
    if all_numbers and len(np.unique(numbers[stated])) > _MOST_NUMBERS:
        bands = _age_bands(numbers, stated) if column.lower() == "age" else _quartile_bands(numbers, stated)
    else:
        values = dict(zip(texts[stated], numbers[stated], strict=True))
        _check_count(column, values)
        order = sorted(values, key=lambda text: (values[text] if all_numbers else 0, text))
        bands = [(value, texts == value) for value in order]
    bands = [(name, mask) for name, mask in bands if mask.any()]
    return bands if stated.all() else [*bands, (NOT_STATED, ~stated)]


def _check_count(column, values):
    if len(values) > _MOST_VALUES:
        example = next((text for text, number in values.items() if not np.isfinite(number)), min(values))
        raise SemenetError(
            f"A column of subgroups has {_MOST_VALUES} values at most, or nothing but numbers. "
            f"Received: {len(values)} values in {column!r}, {example!r} among them. "
            "Put them into fewer groups in a new column; among numbers, leave a cell empty that has none."
        )


def _age_bands(ages, stated):
    if ages[stated].min() < 0:
        raise SemenetError(
            f"An age must be 0 years or more. Received: {ages[stated].min():g}. "
            "Leave a cell empty where the age is not known."
        )
    starts = list(AGE_BANDS.values())
    band = np.searchsorted(starts, ages, side="right") - 1
    return [(name, stated & (band == number)) for number, name in enumerate(AGE_BANDS)]


def _quartile_bands(numbers, stated):
    """Bands that hold their lower limit and not the upper, except the last."""
    # Limits that are numbers of the column, so that their names are short and the same everywhere.
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
