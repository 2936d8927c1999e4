"""Drawing the splits of a manifest: whole patients, each class in the same shares, the same for one seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import shorten
from semenet.data.manifest.errors import ManifestError
from semenet.data.manifest.names import normalized
from semenet.errors import SemenetError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def split_patients(
    rows: pd.DataFrame,
    shares: dict[str, float] | None = None,
    seed: int = 0,
    fixed_splits: Sequence[str] = (),
    *,
    also_by: Sequence[str] = (),
    every_class: bool = True,
) -> pd.Series:
    """Draws a split for every patient, and so for every row.

    Patients with the same set of labels form a stratum. Within a stratum, patients with the same number of
    images are assigned in random order, those with many images first, each time to the splits that are
    furthest below their share. So a stratum's image counts come as near the shares as whole patients allow,
    and what one stratum misses by rounding the next compensates. The draw depends on the seed, the patients,
    their labels and their numbers of images, and not on the order of the rows.

    Args:
        rows: rows of a manifest: `patient`; `label`, if present, for stratification; `split` for
            `fixed_splits`.
        shares: a split's name to its share of the images, in (0, 1], with a sum of 1. None for
            train 0.7, val 0.15, test 0.15.
        seed: the seed of the draw.
        fixed_splits: splits that keep their rows. Other rows of their patients join them, and all remaining
            rows are drawn among the other splits of `shares`, in proportion.
        also_by: further columns to stratify by, such as "source": patients with the same set of labels and
            values form a stratum.
        every_class: whether to reject a draw that leaves a split without a patient of a class.

    Returns:
        A Series of split names, indexed like `rows`.

    Raises:
        SemenetError: `shares` are invalid, or all splits are fixed.
        ManifestError: a patient is in two fixed splits, or, with `every_class`, a class has too few patients
            to have one in every drawn split.

    Example:
        >>> rows = semenet.read_manifest("manifest.csv").rows
        >>> splits = semenet.data.split_patients(rows, {"train": 0.8, "val": 0.2}, seed=1)
        >>> sorted(splits.unique())
        ['train', 'val']
        >>> bool((rows.assign(split=splits).groupby("patient")["split"].nunique() == 1).all())
        True
    """
    shares = dict(SHARES if shares is None else shares)
    _check_shares(shares)
    row_patient, patients = _encode(rows, "patient")
    images = np.bincount(row_patient)
    drawn_names = [name for name in shares if name not in fixed_splits]
    names = np.array([*drawn_names, *fixed_splits], dtype=object)
    drawn_count = len(drawn_names)
    fixed = _fixed_assignment(rows, patients, row_patient, names, drawn_count)
    wanted = np.array([shares[name] for name in drawn_names])
    if not drawn_count:
        raise SemenetError(
            f"At least one split must be drawn. Received: shares for {', '.join(shares)}, all of which are "
            "fixed. Fix fewer splits."
        )
    pairs, labels = _patient_labels(rows, row_patient)
    assigned = fixed.copy()
    free = np.flatnonzero(fixed < 0)
    strata = _label_sets(_patient_values(rows, row_patient, also_by) if also_by else pairs, len(patients))[
        free
    ]
    assigned[free] = _assign(strata, images[free], wanted / wanted.sum(), np.random.default_rng(seed))
    _fill_missing_classes(assigned, fixed, pairs, images, drawn_count)
    if every_class:
        _check_classes(assigned, fixed, pairs, labels, drawn_names)
    return pd.Series(names[assigned[row_patient]], index=rows.index, name="split", dtype=str)


def _check_shares(shares: dict[str, float]) -> None:
    numbers = list(shares.values())
    if not shares or not all(0 < share <= 1 for share in numbers) or abs(sum(numbers) - 1) > 1e-6:
        raise SemenetError(
            "The shares of splits must be in (0, 1] and have a sum of 1. "
            f"Received: {', '.join(f'{name}={share:g}' for name, share in shares.items()) or 'none'}. "
            "The usual shares are train=0.7,val=0.15,test=0.15."
        )
    invalid = [name for name in shares if not name or name != name.strip()]
    if invalid:
        raise SemenetError(
            "A split must have a name without white space around it. "
            f"Received: {invalid[0]!r}. Rename the split."
        )


def _encode(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Encodes a column as indices into its sorted values, which do not depend on the order of the rows."""
    codes, values = pd.factorize(normalized(rows[column]), sort=True)
    if (codes < 0).any():
        raise ManifestError(
            f"Every row needs a {column} to draw a split. "
            f"Received: {int((codes < 0).sum())} rows without one. Fill them in, or remove the rows."
        )
    return codes, np.asarray(values, dtype=object)


def _fixed_assignment(
    rows: pd.DataFrame, patients: np.ndarray, row_patient: np.ndarray, names: np.ndarray, drawn_count: int
) -> np.ndarray:
    """Returns each patient's fixed split as an index into `names`, -1 for free patients."""
    fixed = np.full(len(patients), -1)
    if drawn_count == len(names):
        return fixed
    present = set(rows["split"].unique()) if "split" in rows else set()
    missing = [name for name in names[drawn_count:] if name not in present]
    if missing:
        raise ManifestError(
            f"A fixed split must have rows. Received: {shorten(missing)}. The manifest has "
            f"{', '.join(sorted(present)) or 'no splits'}. Use one of its splits."
        )
    for index in range(drawn_count, len(names)):
        of_split = np.unique(row_patient[(rows["split"] == names[index]).to_numpy()])
        conflicting = of_split[fixed[of_split] >= 0]
        if len(conflicting):
            raise ManifestError(
                "A patient can be in one fixed split only. Received: "
                f"{shorten([str(patients[patient]) for patient in conflicting])} in "
                f"{names[fixed[conflicting[0]]]} and {names[index]}. Fix only one of the two splits, or "
                "correct these patients' rows."
            )
        fixed[of_split] = index
    return fixed


def _patient_labels(rows: pd.DataFrame, row_patient: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the distinct pairs of patient and label as a sorted int array (pairs, 2), and the labels."""
    if "label" not in rows:
        present = np.unique(row_patient)
        return np.stack([present, np.zeros_like(present)], axis=1), None
    row_label, labels = _encode(rows, "label")
    codes = np.unique(row_patient.astype(np.int64) * len(labels) + row_label)
    return np.stack(np.divmod(codes, len(labels)), axis=1), labels


def _patient_values(rows: pd.DataFrame, row_patient: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Returns the pairs of patient and combination of label and other columns, as `_patient_labels` does."""
    columns = [*(["label"] if "label" in rows else []), *columns]
    row_value = rows.groupby(columns, sort=True, dropna=False).ngroup().to_numpy()
    return np.unique(np.stack([row_patient.astype(np.int64), row_value], axis=1), axis=0)


def _label_sets(pairs: np.ndarray, count: int) -> np.ndarray:
    """Returns a number for each patient, equal for equal sets of labels."""
    # One fixed random number per label: equal sets have equal sums, and different sets of 64-bit numbers have
    # equal sums with a probability of about 10^-19. Sums may wrap around.
    numbers = np.random.default_rng(0).integers(0, 2**64, pairs[:, 1].max() + 1, dtype=np.uint64)
    sums = np.zeros(count, np.uint64)
    np.add.at(sums, pairs[:, 0], numbers[pairs[:, 1]])
    return np.unique(sums, return_inverse=True)[1]


def _assign(
    strata: np.ndarray, images: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Assigns patients to splits, stratum by stratum, rarest first.

    Args:
        strata: int array (patients,).
        images: int array (patients,), each patient's number of images.
        wanted: float array (splits,), the shares, with a sum of 1.
        rng: the source of randomness.

    Returns:
        An int array (patients,): indices of splits.
    """
    assigned = np.empty(len(strata), np.int64)
    if not len(strata):
        return assigned
    total = np.bincount(strata, weights=images)
    # By stratum, rarest first; within it by images, most first; then at random.
    order = np.lexsort((rng.permutation(len(strata)), -images, strata, total[strata]))
    keys = np.stack([strata[order], images[order]])
    starts = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
    # The images by which the splits are below their shares: in this stratum, and in those before it. The
    # latter only decide which split gets the patients that rounding leaves over.
    deficit, earlier_deficit = np.zeros(len(wanted)), np.zeros(len(wanted))
    stratum = None
    for start, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        if strata[order[start]] != stratum:
            stratum = strata[order[start]]
            deficit, earlier_deficit = np.zeros(len(wanted)), earlier_deficit + deficit
        size = images[order[start]]
        count = end - start
        deficit = deficit + wanted * count * size
        counts = np.maximum(np.floor(deficit / size), 0).astype(np.int64)
        while counts.sum() > count:
            counts[np.argmin(np.where(counts > 0, deficit - counts * size, np.inf))] -= 1
        while counts.sum() < count:
            counts[np.argmax(deficit + earlier_deficit - counts * size)] += 1
        assigned[order[start:end]] = np.repeat(np.arange(len(wanted)), counts)
        deficit = deficit - counts * size
    return assigned


def _fill_missing_classes(
    assigned: np.ndarray, fixed: np.ndarray, pairs: np.ndarray, images: np.ndarray, drawn_count: int
) -> None:
    """Moves, in place, a patient into each drawn split that has no patient of a class."""
    table = np.zeros((pairs[:, 1].max() + 1, max(assigned.max() + 1, drawn_count)), np.int64)
    np.add.at(table, (pairs[:, 1], assigned[pairs[:, 0]]), 1)
    for label, split in np.argwhere(table[:, :drawn_count] == 0):
        candidates = pairs[pairs[:, 1] == label, 0]
        candidates = candidates[fixed[candidates] < 0]
        candidates = candidates[np.lexsort((images[candidates], -table[label, assigned[candidates]]))]
        for patient in candidates:
            own = pairs[pairs[:, 0] == patient, 1]
            if table[label, split] == 0 and (table[own, assigned[patient]] > 1).all():
                table[own, assigned[patient]] -= 1
                table[own, split] += 1
                assigned[patient] = split
                break


def _check_classes(
    assigned: np.ndarray,
    fixed: np.ndarray,
    pairs: np.ndarray,
    labels: np.ndarray | None,
    names: Sequence[str],
) -> None:
    """Rejects a draw that leaves a split without a class, whose metrics there would be undefined."""
    for label in range(pairs[:, 1].max() + 1):
        of_label = pairs[pairs[:, 1] == label, 0]
        missing = [name for index, name in enumerate(names) if not (assigned[of_label] == index).any()]
        if missing:
            free = int((fixed[of_label] < 0).sum())
            subject = "a manifest" if labels is None else f"the class {labels[label]!r}"
            raise ManifestError(
                "Every split that is drawn must have a patient of every class. "
                f"Received: {subject} with {free} patients to draw from, and none left for "
                f"{' and '.join(missing)}. Remove the class, merge it with another, or draw fewer splits."
            )
