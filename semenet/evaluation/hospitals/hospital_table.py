"""The table of hospitals: metrics of each, and how they differ from those of the internal one."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from semenet.data.manifest.table import Manifest
from semenet.evaluation.measure.saved_predictions import SavedPredictions
from semenet.evaluation.measure.subgroups import subgroups
from semenet.metrics.patient_resamples import percentile_interval

SOURCE = "source"
_COMPARED = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "dice", "iou", "mean_iou")
_OF_CLASS = ("auroc", "sensitivity", "specificity")
# These average over the classes that occur, so that they differ between hospitals with different classes.
_OVER_CLASSES = ("balanced_accuracy", "macro_f1", "macro_auroc")


@dataclasses.dataclass(frozen=True, eq=False)
class Hospital:
    """One manifest that was evaluated.

    Attributes:
        name: its name in the table.
        folder: the folder of its own evaluation.
        manifest: the manifest.
        result: the content of its metrics.json.
        predictions: its predictions, with the columns of the manifest.
        internal: whether the network was trained with this manifest.
    """

    name: str
    folder: pathlib.Path
    manifest: Manifest
    result: dict[str, Any]
    predictions: SavedPredictions
    internal: bool


def read_hospital(
    name: str, folder: pathlib.Path, manifest: Manifest, result: dict[str, Any], internal: bool
) -> Hospital:
    """Reads the predictions that `evaluate` wrote for a manifest, and adds the manifest's columns."""
    classes = tuple(result["class_names"]) if "per_class" in result else ()
    read = SavedPredictions.read(folder, classes)
    known = [column for column in manifest.rows.columns if column not in read.rows]
    rows = read.rows.merge(manifest.rows[["file", *known]], on="file", how="left", validate="one_to_one")
    predictions = dataclasses.replace(read, rows=rows)
    return Hospital(name, folder, manifest, result, predictions, internal)


def hospital_rows(hospitals: Sequence[Hospital], by: str | None, resamples: int) -> list[dict[str, Any]]:
    """Measures each hospital and each value of a column within it, and the difference to the internal one.

    Both sides of a difference are resampled, independently of each other, because they have other patients.

    Args:
        hospitals: the hospitals.
        by: a column of the manifests; None for `source`, where it has several values.
        resamples: number of bootstrap resamples of the patients.

    Returns:
        list of dict, ready for JSON: `hospital`; `column` and `value`, None for a whole manifest;
        `internal`, `evidence`; the keys of `SavedPredictions.measure`; and `difference`, a dict from metric
        to `value` and `interval`, external minus internal, None for the internal hospital and without one.
    """
    internal = next((hospital for hospital in hospitals if hospital.internal), None)
    reference = None
    if internal is not None:
        reference = internal.predictions.measure(resamples), internal.predictions.resampled(resamples, 0)
    rows = []
    for hospital in hospitals:
        for column, value, chosen in _parts(hospital, by):
            measured = chosen.measure(resamples)
            difference = None
            if reference is not None and not hospital.internal:
                # Another seed, so that the two sides are drawn independently.
                drawn = chosen.resampled(resamples, seed=1)
                difference = _differences(reference, (measured, drawn), chosen.class_names)
            rows.append(
                {
                    "hospital": hospital.name,
                    "column": column,
                    "value": value,
                    "internal": hospital.internal,
                    "evidence": hospital.result["evidence"],
                    **measured,
                    "difference": difference,
                }
            )
    return rows


def compared_metrics(class_names: Sequence[str]) -> list[str]:
    """Returns the dotted names of the metrics whose difference is computed."""
    return [*_COMPARED, *(f"per_class.{name}.{metric}" for name in class_names for metric in _OF_CLASS)]


def _parts(hospital: Hospital, by: str | None) -> list[tuple[str | None, str | None, SavedPredictions]]:
    """Returns the whole hospital, and its parts by a column where that has several values."""
    whole = hospital.predictions
    parts = [(None, None, whole)]
    column = by or SOURCE
    if by is None and (SOURCE not in whole.rows or whole.rows[SOURCE].nunique() < 2):
        return parts
    bands = subgroups(whole.rows, [column])[column]
    if len(bands) > 1:
        parts += [(column, value, whole.select(mask)) for value, mask in bands]
    return parts


def _differences(
    internal: tuple[dict[str, Any], dict[str, Any]],
    external: tuple[dict[str, Any], dict[str, Any]],
    class_names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    (first, first_drawn), (second, second_drawn) = internal, external
    same_classes = first.get("classes", {}).keys() == second.get("classes", {}).keys()
    found = {}
    for name in compared_metrics(class_names):
        values = first["figures"].get(name), second["figures"].get(name)
        if name not in first["figures"]:
            continue
        comparable = None not in values and (same_classes or name not in _OVER_CLASSES)
        found[name] = {
            "value": values[1] - values[0] if comparable else None,
            "interval": percentile_interval(second_drawn[name] - first_drawn[name], 0.95)
            if comparable
            else None,
        }
    return found
