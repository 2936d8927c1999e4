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


def drawn(count=300, seed=0):
    """Rows of patients with one to nine images, of two labels, some of both."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"p{patient}", "rare" if rng.random() < 0.2 else "frequent")
        for patient in range(count)
        for _ in range(rng.integers(1, 10))
    ]
    return pd.DataFrame(rows, columns=["patient", "label"])


def test_patients_stay_whole_and_each_class_comes_near_its_shares():
    frame = pd.concat([patients(200, "a"), patients(90, "b", 3), patients(40, "c", 7)], ignore_index=True)
    splits = split_patients(frame, seed=4)
    assert patients_in_several_splits(frame.assign(split=splits)).empty
    for label, images in (("a", 1), ("b", 3), ("c", 7)):
        rows = frame["label"] == label
        counts = splits[rows].value_counts()
        for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert abs(counts[name] - share * rows.sum()) <= images


def test_patients_with_two_labels_are_shared_out_too():
    frame = drawn()
    splits = split_patients(frame, {"train": 0.5, "val": 0.3, "test": 0.2})
    assert patients_in_several_splits(frame.assign(split=splits)).empty
    both = frame.groupby("patient")["label"].transform("nunique") == 2
    assert both.sum() > 500
    for rows in (both, ~both):
        share = shares_of(frame[rows], splits[rows])
        np.testing.assert_allclose(share[["train", "val", "test"]], [0.5, 0.3, 0.2], atol=0.015)
    np.testing.assert_allclose(shares_of(frame, splits)[["train", "val", "test"]], [0.5, 0.3, 0.2], atol=2e-3)


def test_many_rare_strata_do_not_all_go_to_the_largest_split():
    """Each of 60 patients is a stratum of its own: rounding each alone would leave val and test empty."""
    labels = [f"l{index:02d}" for index in range(12)]
    sets = [(labels[a], labels[b]) for a in range(12) for b in range(a)][:60]
    frame = pd.DataFrame(
        [(f"p{index}", label) for index, pair in enumerate(sets) for label in pair],
        columns=["patient", "label"],
    )
    splits = split_patients(frame, {"train": 0.6, "val": 0.4})
    np.testing.assert_allclose(shares_of(frame, splits)[["train", "val"]], [0.6, 0.4], atol=0.1)


def test_draw_follows_the_seed_and_not_the_order_of_the_rows():
    frame = drawn()
    splits = split_patients(frame, seed=1)
    shuffled = frame.sample(frac=1, random_state=3)
    pd.testing.assert_series_equal(split_patients(shuffled, seed=1).sort_index(), splits)
    assert (split_patients(frame, seed=2) != splits).mean() > 0.2


def test_index_of_the_rows_is_kept_and_labels_may_lack():
    frame = patients(20).drop(columns="label").set_axis(range(100, 120))
    splits = split_patients(frame, {"train": 0.75, "val": 0.25})
    assert splits.index.tolist() == list(range(100, 120))
    assert splits.value_counts().to_dict() == {"train": 15, "val": 5}


def test_kept_split_keeps_its_patients_and_gets_no_others():
    frame = drawn()
    frame["split"] = np.where(frame["patient"].str.endswith("7"), "test", "train")
    # One row of a patient who is to be kept has strayed.
    strayed = frame.index[frame["split"] == "test"][0]
    frame.loc[strayed, "split"] = "train"
    splits = split_patients(frame, keep=("test",))
    kept = frame["patient"].str.endswith("7")
    assert (splits[kept] == "test").all()
    assert set(splits[~kept]) == {"train", "val"}
    np.testing.assert_allclose(shares_of(frame[~kept], splits[~kept])["train"], 0.7 / 0.85, atol=0.01)


def test_keeping_what_cannot_be_kept_is_refused():
    frame = patients(20).assign(split=["train", "test"] * 10)
    with pytest.raises(ManifestError, match="Received: reserve, but there are test, train"):
        split_patients(frame, keep=("reserve",))
    with pytest.raises(SemenetError, match="left to draw"):
        split_patients(frame, {"train": 0.5, "test": 0.5}, keep=("train", "test"))
    frame = patients(20, images=2).assign(split=["train", "test"] * 20)
    with pytest.raises(ManifestError, match="kept in one split only.*pa0"):
        split_patients(frame, keep=("train", "test"))


def test_a_small_class_stands_in_every_split():
    """Four patients at 0.7, 0.15 and 0.15: rounding alone would give 3, 1 and 0."""
    frame = pd.concat([patients(100, "a"), patients(4, "b")], ignore_index=True)
    for seed in range(5):
        splits = split_patients(frame, seed=seed)
        assert set(splits[frame["label"] == "b"]) == {"train", "val", "test"}


def test_a_class_with_too_few_patients_is_refused_by_name():
    frame = pd.concat([patients(100, "a"), patients(2, "b", images=30)], ignore_index=True)
    with pytest.raises(ManifestError, match="the class 'b' with 2 patients.*none left for (val|test)"):
        split_patients(frame)
    with pytest.raises(ManifestError, match="images at all with 2 patients"):
        split_patients(patients(2).drop(columns="label"))


@pytest.mark.parametrize(
    "shares", [{}, {"train": 0.5, "val": 0.4}, {"train": 1.5, "val": -0.5}, {"train": 1, "val": 0}]
)
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(SemenetError, match="be 1 in all"):
        split_patients(patients(20), shares)


def test_nameless_split_and_missing_patient_are_refused():
    with pytest.raises(SemenetError, match="without white space"):
        split_patients(patients(20), {"train ": 1})
    frame = patients(20)
    frame.loc[3, "patient"] = None
    with pytest.raises(ManifestError, match="1 rows without"):
        split_patients(frame)
