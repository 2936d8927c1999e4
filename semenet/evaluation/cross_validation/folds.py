"""Draws the folds of a cross-validation: which images each network is trained, chosen and tested on.

In every fold the images that are held out form the split `test`. The rest is split once more by patient into
`train` and `val` (the inner split). The best epoch and the temperature are chosen on `val`, so that nothing
is chosen on the images that a fold reports.
"""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from semenet.data.manifest.class_labels import has_partial_label
from semenet.data.manifest.csv_file import ManifestError, shorten
from semenet.data.manifest.splitting import split_patients
from semenet.errors import SemenetError

BY_PATIENT = "patient"
STRATIFIED_BY = "source"
_NOT_LEFT_OUT = ("file", "mask", "path", "mask_path", "label", "split")


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """One fold of a cross-validation.

    Attributes:
        name: the fold's number, from "1", or the value that is left out.
        rows: rows of the manifest whose column `split` is `train`, `val` or `test`, in its order.
        excluded: the number of images in none of the three: they show patients who are held out, but do not
            have the value that is left out.
    """

    name: str
    rows: pd.DataFrame
    excluded: int = 0

    def part(self, split: str) -> pd.DataFrame:
        """Returns the rows of `train`, `val` or `test`, indexed from 0."""
        return self.rows[self.rows["split"] == split].reset_index(drop=True)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns the number of images and patients in each split."""
        parts = {split: self.part(split) for split in ("train", "val", "test")}
        return {
            split: {"images": len(rows), "patients": int(rows["patient"].nunique())}
            for split, rows in parts.items()
        }


def draw_folds(
    rows: pd.DataFrame,
    by: str = BY_PATIENT,
    *,
    folds: int = 5,
    leave_out: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    val_share: float = 0.15,
    seed: int = 0,
) -> list[Fold]:
    """Draws folds by patient, or leaves out each value of a column in turn.

    Patients are drawn by `semenet.data.split_patients`, in strata of label and source. The draw depends on
    the seed and the rows, and not on a recipe, so that two recipes can be compared on the same folds.

    Args:
        rows: rows of a manifest. Their column `split` is ignored and replaced.
        by: "patient" for folds of whole patients; any other column to leave out each of its values, with all
            images of the patients who have images of this value.
        folds: number of folds by patient, 2 or more.
        leave_out: the values of `by` to leave out, each in turn; None for all.
        classes: classes that must be in `train` and `val` of every fold.
        val_share: share of the images that are not held out, in (0, 1), that form `val`.
        seed: the seed of the draw.

    Returns:
        The folds, in order.

    Raises:
        SemenetError: an argument is out of range, or does not fit the other ones.
        ManifestError: the column is missing or has empty cells; it has only one value; a value to leave out
            does not occur; there are fewer patients than folds; or a class is missing from a part of a fold.

    Example:
        >>> from semenet.evaluation.cross_validation import draw_folds
        >>> rows = semenet.read_manifest("manifest.csv").rows
        >>> [fold.counts()["test"]["images"] for fold in draw_folds(rows, folds=3)]
        [15, 15, 15]
        >>> drawn = draw_folds(rows, folds=3)
        >>> tested = [patient for fold in drawn for patient in set(fold.part("test")["patient"])]
        >>> len(tested) == len(set(tested)) == rows["patient"].nunique()
        True
    """
    if not 0 < val_share < 1:
        raise SemenetError(
            "The share of the images that epoch and temperature are chosen on must be in (0, 1). "
            f"Received: {val_share}. Pass another val_share; 0.15 is usual."
        )
    if by == BY_PATIENT:
        held_out = _patient_folds(rows, folds, leave_out, seed)
    else:
        held_out = _left_out_values(rows, by, leave_out)
    drawn = []
    for name, is_test in held_out.items():
        of_patients = rows["patient"].isin(rows.loc[is_test, "patient"])
        inner = _inner_split(rows[~of_patients], by, val_share, seed, name)
        split = inner.reindex(rows.index).where(~is_test, "test")
        chosen = rows.assign(split=split)[split.notna()]
        drawn.append(Fold(name, chosen, excluded=int((of_patients & ~is_test).sum())))
        _check_classes(drawn[-1], by, classes)
    return drawn


def _patient_folds(
    rows: pd.DataFrame, folds: int, leave_out: Sequence[str] | None, seed: int
) -> dict[str, pd.Series]:
    """Returns, for each fold's number, which rows are held out."""
    patients = rows["patient"].nunique()
    if leave_out is not None:
        raise SemenetError(
            "Values to leave out belong to a column other than `patient`. "
            f"Received: {shorten(list(leave_out))} by patient. Pass the column, such as by='source'."
        )
    if not 2 <= folds <= patients:
        raise ManifestError(
            "A cross-validation by patient needs 2 folds or more, and a patient for each. "
            f"Received: {folds} folds, {patients} patients. Pass another number of folds; 5 is usual."
        )
    shares = {str(number): 1 / folds for number in range(1, folds + 1)}
    names = split_patients(rows, shares, seed, also_by=_strata(rows), every_class=False)
    return {name: names == name for name in shares}


def _left_out_values(rows: pd.DataFrame, by: str, leave_out: Sequence[str] | None) -> dict[str, pd.Series]:
    """Returns, for each value to leave out, which rows have it."""
    available = [column for column in rows.columns if column not in _NOT_LEFT_OUT]
    if by not in available:
        raise ManifestError(
            "Folds are made by patient or by another column of the manifest that tells where an image is "
            f"from. Received: {by!r}. Available: {', '.join(available)}."
        )
    empty = rows[rows[by].str.strip() == ""]
    if len(empty):
        raise ManifestError(
            f"Every image needs a value of the column that is left out in turn. Received: {len(empty)} empty "
            f"cells in {by!r}, first for {empty['file'].iloc[0]}. Fill them in, or remove the rows."
        )
    values = sorted(rows[by].unique())
    unknown = [value for value in leave_out or () if value not in values]
    if unknown or len(values) < 2:
        raise ManifestError(
            "Values are left out of a column that has two or more, these among them. "
            f"Received: {shorten(unknown or values)} of {by!r}, which has {shorten(values)}. "
            "Pass other values, or another column."
        )
    return {value: rows[by] == value for value in (dict.fromkeys(leave_out) if leave_out else values)}


def _strata(rows: pd.DataFrame, by: str = BY_PATIENT) -> list[str]:
    return [
        column for column in dict.fromkeys((STRATIFIED_BY, by)) if column in rows and column != BY_PATIENT
    ]


def _inner_split(rows: pd.DataFrame, by: str, val_share: float, seed: int, name: str) -> pd.Series:
    if rows["patient"].nunique() < 2:
        raise ManifestError(
            "A fold needs two patients or more beside those that it holds out, to train on one and choose "
            f"on the other. Received: {rows['patient'].nunique()} beside {_described(by, name)}. "
            "Add patients, or pass another column."
        )
    shares = {"train": 1 - val_share, "val": val_share}
    return split_patients(rows, shares, seed, also_by=_strata(rows, by), every_class=False)


def _check_classes(fold: Fold, by: str, classes: Sequence[str]) -> None:
    if classes and has_partial_label(fold.part("test")["label"]).all():
        raise ManifestError(
            "A fold is measured on images whose class is known. Received: "
            f"only partial labels in {_described(by, fold.name)}. Pass other values to leave out, or "
            "give these images complete labels."
        )
    for split in ("train", "val"):
        present = set(fold.part(split)["label"]) if classes else set()
        missing = [name for name in classes if name not in present]
        if missing:
            remedy = "fewer folds or a larger val_share"
            if by != BY_PATIENT:
                remedy = f"with leave_out only values of {by!r} that are not the only ones with a class"
            raise ManifestError(
                "Every class needs patients to train on and patients to choose on in every fold. Received: "
                f"none of {', '.join(missing)} in the split {split} beside {_described(by, fold.name)}. "
                f"Pass {remedy}, or add patients of the class."
            )


def _described(by: str, name: str) -> str:
    return f"fold {name}" if by == BY_PATIENT else f"{by} {name!r}, which is left out"
