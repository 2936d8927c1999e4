"""Drawing splits: whole patients, shares by class, reproducible draws, fixed splits and wrong arguments."""

import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.splitting import split_patients
from semenet.data.manifest.table import ManifestError, patients_in_several_splits
from semenet.errors import SemenetError


def patients(count, label="a", images=1, prefix="p"):
    rows = [(f"{prefix}{label}{index}", label) for index in range(count) for _ in range(images)]
    return pd.DataFrame(rows, columns=["patient", "label"])


def shares_of(frame, splits):
    return frame.groupby(splits).size() / len(frame)


def mixed_rows(count=300, seed=0):
    """Returns rows of patients with one to nine images of two labels, some patients with both."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"p{patient}", "rare" if rng.random() < 0.2 else "frequent")
        for patient in range(count)
        for _ in range(rng.integers(1, 10))
    ]
    return pd.DataFrame(rows, columns=["patient", "label"])


def test_patients_stay_whole_and_each_class_is_near_its_shares():
    frame = pd.concat([patients(200, "a"), patients(90, "b", 3), patients(40, "c", 7)], ignore_index=True)
    splits = split_patients(frame, seed=4)
    assert patients_in_several_splits(frame.assign(split=splits)).empty
    for label, images in (("a", 1), ("b", 3), ("c", 7)):
        rows = frame["label"] == label
        counts = splits[rows].value_counts()
        for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert abs(counts[name] - share * rows.sum()) <= images


def test_patients_with_two_labels_are_split_by_shares_too():
    frame = mixed_rows()
    splits = split_patients(frame, {"train": 0.5, "val": 0.3, "test": 0.2})
    assert patients_in_several_splits(frame.assign(split=splits)).empty
    both = frame.groupby("patient")["label"].transform("nunique") == 2
    assert both.sum() > 500
    for rows in (both, ~both):
        share = shares_of(frame[rows], splits[rows])
        np.testing.assert_allclose(share[["train", "val", "test"]], [0.5, 0.3, 0.2], atol=0.015)
    np.testing.assert_allclose(shares_of(frame, splits)[["train", "val", "test"]], [0.5, 0.3, 0.2], atol=2e-3)


def test_many_rare_strata_are_not_all_in_the_largest_split():
    """Each of 60 patients is a stratum of its own: rounding each separately would leave val empty."""
    labels = [f"l{index:02d}" for index in range(12)]
    sets = [(labels[a], labels[b]) for a in range(12) for b in range(a)][:60]
    frame = pd.DataFrame(
        [(f"p{index}", label) for index, pair in enumerate(sets) for label in pair],
        columns=["patient", "label"],
    )
    splits = split_patients(frame, {"train": 0.6, "val": 0.4})
    np.testing.assert_allclose(shares_of(frame, splits)[["train", "val"]], [0.6, 0.4], atol=0.1)


def test_draw_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    frame = mixed_rows()
    splits = split_patients(frame, seed=1)
    shuffled = frame.sample(frac=1, random_state=3)
    pd.testing.assert_series_equal(split_patients(shuffled, seed=1).sort_index(), splits)
    assert (split_patients(frame, seed=2) != splits).mean() > 0.2


def test_index_of_the_rows_is_kept_and_labels_may_be_missing():
    frame = patients(20).drop(columns="label").set_axis(range(100, 120))
    splits = split_patients(frame, {"train": 0.75, "val": 0.25})
    assert splits.index.tolist() == list(range(100, 120))
    assert splits.value_counts().to_dict() == {"train": 15, "val": 5}


def test_fixed_split_keeps_its_patients_and_gets_no_others():
    frame = mixed_rows()
    frame["split"] = np.where(frame["patient"].str.endswith("7"), "test", "train")
    # One row of a patient of the fixed split is in another split.
    misplaced = frame.index[frame["split"] == "test"][0]
    frame.loc[misplaced, "split"] = "train"
    splits = split_patients(frame, fixed_splits=("test",))
    is_fixed = frame["patient"].str.endswith("7")
    assert (splits[is_fixed] == "test").all()
    assert set(splits[~is_fixed]) == {"train", "val"}
    np.testing.assert_allclose(shares_of(frame[~is_fixed], splits[~is_fixed])["train"], 0.7 / 0.85, atol=0.01)


def test_splits_that_cannot_be_fixed_are_rejected():
    frame = patients(20).assign(split=["train", "test"] * 10)
    with pytest.raises(ManifestError, match="Received: reserve. The manifest has test, train"):
        split_patients(frame, fixed_splits=("reserve",))
    with pytest.raises(SemenetError, match="At least one split must be drawn"):
        split_patients(frame, {"train": 0.5, "test": 0.5}, fixed_splits=("train", "test"))
    frame = patients(20, images=2).assign(split=["train", "test"] * 20)
    with pytest.raises(ManifestError, match="one fixed split only.*pa0"):
        split_patients(frame, fixed_splits=("train", "test"))


def test_a_small_class_is_in_every_split():
    """Four patients with shares 0.7, 0.15 and 0.15: rounding alone would assign 3, 1 and 0."""
    frame = pd.concat([patients(100, "a"), patients(4, "b")], ignore_index=True)
    for seed in range(5):
        splits = split_patients(frame, seed=seed)
        assert set(splits[frame["label"] == "b"]) == {"train", "val", "test"}


def test_a_class_with_too_few_patients_is_rejected_by_name():
    frame = pd.concat([patients(100, "a"), patients(2, "b", images=30)], ignore_index=True)
    with pytest.raises(ManifestError, match="the class 'b' with 2 patients.*none left for (val|test)"):
        split_patients(frame)
    with pytest.raises(ManifestError, match="a manifest with 2 patients"):
        split_patients(patients(2).drop(columns="label"))


@pytest.mark.parametrize(
    "shares", [{}, {"train": 0.5, "val": 0.4}, {"train": 1.5, "val": -0.5}, {"train": 1, "val": 0}]
)
def test_invalid_shares_are_rejected(shares):
    with pytest.raises(SemenetError, match="have a sum of 1"):
        split_patients(patients(20), shares)


def test_split_names_with_white_space_and_missing_patients_are_rejected():
    with pytest.raises(SemenetError, match="without white space"):
        split_patients(patients(20), {"train ": 1})
    frame = patients(20)
    frame.loc[3, "patient"] = None
    with pytest.raises(ManifestError, match="1 rows without"):
        split_patients(frame)
