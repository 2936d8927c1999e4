"""Pairs of labels in a source that was left out: can a network that never saw it tell them apart there?

Many sources have only some of the labels. Where a source has both labels of a pair, they are compared within
it. Where it has only one, its images are compared with those of the other label from elsewhere:

- of the other sources that were left out. Each image is predicted by a network that never saw the image's own
  source. The two sides come from different networks, one of which was trained on the other side's source.
- of the inner split of the same fold. Both sides are predicted by the same network, but the second one is
  from the sources that it was trained on, and its epoch and temperature were chosen on these images.

In both cases the two sides differ in source as well as in label. A network that reads the source can score
high or low there, so they are weaker evidence than a comparison within one source.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semenet.data.manifest.class_labels import SEPARATOR
from semenet.evaluation.cross_validation.fold_training import FoldResult
from semenet.metrics.patient_bootstrap import classification_intervals
from semenet.metrics.resampled_metrics import resampled_classification

WITHIN = "the same source"
OTHERS = "the other sources that were left out"
INNER = "the inner split of the same fold"


def source_contrasts(results: Sequence[FoldResult], resamples: int) -> list[dict[str, Any]]:
    """Computes the AUROC of each pair of labels, of which one or both are in a source that was left out.

    The score of an image is the probability of the first label divided by that of both labels. So the value
    does not depend on which label is named first, and further classes do not matter. A partial label has the
    sum of the probabilities of its classes; labels that share a class are not compared.

    Args:
        results: the finished folds of a classifier.
        resamples: number of bootstrap resamples of the patients.

    Returns:
        list of dict, ready for JSON: `left_out`; `label` and `against`, the two labels; `against_from`, one
        of this module's constants; `against_sources`, the left-out values that the second side is from,
        where it is from others; `images` and `patients`, two numbers each; `auroc`, and `interval`,
        `[low, high]` or None.
    """
    tables = {result.fold.name: result.held_out.rows for result in results}
    classes = results[0].held_out.class_names

    def contrast(
        left_out: str, label: str, against: str, from_where: str, table: pd.DataFrame
    ) -> dict[str, Any] | None:
        sides = (label, tables[left_out]), (against, table)
        return _contrast(left_out, *sides, from_where, classes, resamples)

    found = []
    for result in results:
        name, own = result.fold.name, result.held_out.rows
        others = [table.assign(left_out=other) for other, table in tables.items() if other != name]
        elsewhere = pd.concat(others, ignore_index=True) if others else own.iloc[:0]
        labels = _ordered(own["label"], classes)
        for position, label in enumerate(labels):
            found += [contrast(name, label, against, WITHIN, own) for against in labels[position + 1 :]]
            for from_where, table in ((OTHERS, elsewhere), (INNER, result.inner.rows)):
                missing = [other for other in _ordered(table["label"], classes) if other not in labels]
                found += [contrast(name, label, against, from_where, table) for against in missing]
    return [compared for compared in found if compared is not None]


def _contrast(
    left_out: str,
    first: tuple[str, pd.DataFrame],
    second: tuple[str, pd.DataFrame],
    from_where: str,
    classes: Sequence[str],
    resamples: int,
) -> dict[str, Any] | None:
    """Compares two labels, each with the table of its images; None for labels that share a class."""
    if set(first[0].split(SEPARATOR)) & set(second[0].split(SEPARATOR)):
        return None
    sides = [table[table["label"] == label] for label, table in (first, second)]
    scores = np.concatenate([_score(side, first[0], second[0]) for side in sides])
    is_second = np.repeat([0, 1], [len(side) for side in sides])
    patients = np.concatenate([side["patient"].to_numpy() for side in sides])
    arrays = is_second, np.stack([scores, 1 - scores], axis=1), ("first", "second")
    value = resampled_classification(*arrays, np.ones((1, len(scores))))["per_class.first.auroc"][0]
    return {
        "left_out": left_out,
        "label": first[0],
        "against": second[0],
        "against_from": from_where,
        "against_sources": sorted(set(sides[1]["left_out"])) if from_where == OTHERS else [],
        "images": [len(side) for side in sides],
        "patients": [int(side["patient"].nunique()) for side in sides],
        "auroc": float(value),
        "interval": classification_intervals(*arrays, patients, resamples)["per_class.first.auroc"],
    }


def _score(rows: pd.DataFrame, first: str, second: str) -> np.ndarray:
    of_first, of_second = (
        rows[label.split(SEPARATOR)].to_numpy(dtype=np.float64).sum(axis=1) for label in (first, second)
    )
    both = of_first + of_second
    return np.divide(of_first, both, out=np.full(len(rows), 0.5), where=both > 0)


def _ordered(labels: pd.Series, classes: Sequence[str]) -> list[str]:
    """Returns the distinct labels in the order of the classes, partial labels by their first class."""
    order = {name: place for place, name in enumerate(classes)}
    return sorted(set(labels), key=lambda label: (order.get(label.split(SEPARATOR)[0], len(order)), label))
