"""Draws the splits of a manifest: whole patients, each class shared out alike, the same for the same seed."""

import numpy as np
import pandas as pd

from semenet.data.manifest.csv_file import ManifestError, shorten
from semenet.errors import SemenetError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def split_patients(frame, shares=None, seed=0, keep=()):
    """Draws a split for every patient, and so for every row.

    Patients with the same set of labels are one stratum. In each, patients with the same number of images are
    dealt out in a random order, those with many images first, each time to the splits that are furthest below
    their share; so a stratum's image counts come as near the shares as whole patients allow, and what one
    stratum lacks by rounding the next makes up. The draw is a function of the seed, the patients, their
    labels and their numbers of images: the order of the rows does not matter.

    Args:
        frame: rows of a manifest: `patient`; `label` for stratifying, where there is one; `split` for `keep`.
        shares: dict of a split's name to its share of the images, in (0, 1], 1 in all. None for
            train 0.7, val 0.15, test 0.15.
        seed: int of the draw.
        keep: splits that stay as they are. Their patients' other rows join them, and all other
            rows are drawn among the other splits of `shares`, in proportion.

    Returns:
        A Series of split names, indexed like `frame`.

    Raises:
        SemenetError: `shares` are no shares, or `keep` leaves nothing to draw.
        ManifestError: a patient stands in two splits of `keep`, or a class has too few patients to
            have one in every split that is drawn.
    """
    shares = dict(SHARES if shares is None else shares)
    _check_shares(shares)
    row_patient, patients = _coded(frame, "patient")
    images = np.bincount(row_patient)
    names = np.array([*[name for name in shares if name not in keep], *keep], dtype=object)
    drawn_count = len(names) - len(keep)
    kept = _kept(frame, patients, row_patient, names, drawn_count)
    wanted = np.array([shares[name] for name in names[:drawn_count]])
    if not drawn_count:
        raise SemenetError(
            f"A split must be left to draw. Received: shares for {', '.join(shares)}, all of which are kept. "
            "Keep fewer."
        )
    pairs, labels = _patient_labels(frame, row_patient)
    assigned = kept.copy()
    free = np.flatnonzero(kept < 0)
    strata = _label_sets(pairs, len(patients))[free]
    assigned[free] = _deal(strata, images[free], wanted / wanted.sum(), np.random.default_rng(seed))
    _fill_absent(assigned, kept, pairs, images, drawn_count)
    _check_classes(assigned, kept, pairs, labels, names[:drawn_count])
    return pd.Series(names[assigned[row_patient]], index=frame.index, name="split", dtype=str)


def _check_shares(shares):
    numbers = list(shares.values())
    if not shares or not all(0 < share <= 1 for share in numbers) or abs(sum(numbers) - 1) > 1e-6:
        raise SemenetError(
            "Shares of splits must lie in (0, 1] and be 1 in all. "
            f"Received: {', '.join(f'{name}={share:g}' for name, share in shares.items()) or 'none'}. "
            "The usual are train=0.7,val=0.15,test=0.15."
        )
    nameless = [name for name in shares if not name or name != name.strip()]
    if nameless:
        raise SemenetError(
            f"A split must have a name without white space around it. Received: {nameless[0]!r}. Rename it."
        )


def _coded(frame, column):
    """A column as indices into its sorted values, which do not depend on the order of the rows."""
    codes, values = pd.factorize(frame[column], sort=True)
    if (codes < 0).any():
        raise ManifestError(
            f"Every row needs a {column} for a split to be drawn. "
            f"Received: {int((codes < 0).sum())} rows without. Fill them in, or leave them out."
        )
    return codes, np.asarray(values, dtype=object)


def _kept(frame, patients, row_patient, names, drawn_count):
    """Each patient's kept split as an index into `names`, -1 where the patient is free."""
    kept = np.full(len(patients), -1)
    if drawn_count == len(names):
        return kept
    present = set(frame["split"].unique()) if "split" in frame else set()
    absent = [name for name in names[drawn_count:] if name not in present]
    if absent:
        raise ManifestError(
            f"A split that is kept must have rows. Received: {shorten(absent)}, but there are "
            f"{', '.join(sorted(present)) or 'no splits at all'}. Name a split that is there."
        )
    for index in range(drawn_count, len(names)):
        inside = np.unique(row_patient[(frame["split"] == names[index]).to_numpy()])
        twice = inside[kept[inside] >= 0]
        if len(twice):
            raise ManifestError(
                "A patient can be kept in one split only. Received: "
                f"{shorten([str(patients[patient]) for patient in twice])} in {names[kept[twice[0]]]} and "
                f"{names[index]}. Keep one of the two, or mend these patients' rows."
            )
        kept[inside] = index
    return kept


def _patient_labels(frame, row_patient):
    """The distinct pairs of a patient and a label as an int array (pairs, 2), sorted; and the labels."""
    if "label" not in frame:
        rows = np.unique(row_patient)
        return np.stack([rows, np.zeros_like(rows)], axis=1), None
    row_label, labels = _coded(frame, "label")
    codes = np.unique(row_patient.astype(np.int64) * len(labels) + row_label)
    return np.stack(np.divmod(codes, len(labels)), axis=1), labels


def _label_sets(pairs, count):
    """A number for each patient, equal for equal sets of labels."""
    # A fixed random number a label: equal sets have equal sums, and two different sets of 64-bit
    # numbers have them about once in 10^19 times. Sums wrap around, which is as good.
    numbers = np.random.default_rng(0).integers(0, 2**64, pairs[:, 1].max() + 1, dtype=np.uint64)
    sums = np.zeros(count, np.uint64)
    np.add.at(sums, pairs[:, 0], numbers[pairs[:, 1]])
    return np.unique(sums, return_inverse=True)[1]


def _deal(strata, images, wanted, rng):
    """Deals patients out to splits, stratum by stratum, rarest first.

    Args:
        strata: int array (patients,).
        images: int array (patients,), each patient's number of images.
        wanted: float array (splits,), sums to 1.
        rng: a numpy Generator.

    Returns:
        An int array (patients,): indices of splits.
    """
    assigned = np.empty(len(strata), np.int64)
    if not len(strata):
        return assigned
    total = np.bincount(strata, weights=images)
    # By stratum, rarest first; in it by images, most first; then at random.
    order = np.lexsort((rng.permutation(len(strata)), -images, strata, total[strata]))
    keys = np.stack([strata[order], images[order]])
    begins = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
    # Images that the splits lack: of this stratum, and of those before it. The latter decide only who gets
    # the patients that rounding leaves over.
    lacking, owed = np.zeros(len(wanted)), np.zeros(len(wanted))
    stratum = None
    for begin, end in zip(begins, np.r_[begins[1:], len(order)], strict=True):
        if strata[order[begin]] != stratum:
            stratum = strata[order[begin]]
            lacking, owed = np.zeros(len(wanted)), owed + lacking
        size = images[order[begin]]
        count = end - begin
        lacking = lacking + wanted * count * size
        given = np.maximum(np.floor(lacking / size), 0).astype(np.int64)
        while given.sum() > count:
            given[np.argmin(np.where(given > 0, lacking - given * size, np.inf))] -= 1
        while given.sum() < count:
            given[np.argmax(lacking + owed - given * size)] += 1
        assigned[order[begin:end]] = np.repeat(np.arange(len(wanted)), given)
        lacking = lacking - given * size
    return assigned


def _fill_absent(assigned, kept, pairs, images, drawn_count):
    """Gives, in place, each drawn split that got none of a class a patient whom another split can spare."""
    table = np.zeros((pairs[:, 1].max() + 1, max(assigned.max() + 1, drawn_count)), np.int64)
    np.add.at(table, (pairs[:, 1], assigned[pairs[:, 0]]), 1)
    for label, split in np.argwhere(table[:, :drawn_count] == 0):
        having = pairs[pairs[:, 1] == label, 0]
        having = having[kept[having] < 0]
        having = having[np.lexsort((images[having], -table[label, assigned[having]]))]
        for patient in having:
            own = pairs[pairs[:, 0] == patient, 1]
            if table[label, split] == 0 and (table[own, assigned[patient]] > 1).all():
                table[own, assigned[patient]] -= 1
                table[own, split] += 1
                assigned[patient] = split
                break


def _check_classes(assigned, kept, pairs, labels, names):
    """Refuses a draw that leaves a split without a class: it would be measured on nothing, unnoticed."""
    for label in range(pairs[:, 1].max() + 1):
        having = pairs[pairs[:, 1] == label, 0]
        absent = [name for index, name in enumerate(names) if not (assigned[having] == index).any()]
        if absent:
            free = int((kept[having] < 0).sum())
            what = "images at all" if labels is None else f"the class {labels[label]!r}"
            raise ManifestError(
                "Every split that is drawn must have a patient of every class. "
                f"Received: {what} with {free} patients to draw from, and none left for "
                f"{' and '.join(absent)}. Leave the class out, join it to another, or draw fewer splits."
            )
