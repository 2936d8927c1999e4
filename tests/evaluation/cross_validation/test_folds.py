"""Folds: no patient and no left-out source on both sides, each label in equal shares, and wrong arguments."""

import pandas as pd
import pytest

from semenet.data.manifest.table import ManifestError
from semenet.errors import SemenetError
from semenet.evaluation.cross_validation.folds import draw_folds

CLASSES = ("normal", "bacteria", "virus")


def rows_of(sources=("north", "south", "west"), patients=20, images=2):
    """Rows of patients with `images` images each, equally many of each class and source."""
    rows = [
        (f"{source}/{label}{number}-{image}.png", label, f"{source}-{label}-{number}", source)
        for source in sources
        for label in CLASSES
        for number in range(patients)
        for image in range(images)
    ]
    return pd.DataFrame(rows, columns=["file", "label", "patient", "source"])


def assert_no_leak(fold, rows):
    """No patient is in two parts, and every image is in at most one."""
    parts = {split: set(fold.part(split)["patient"]) for split in ("train", "val", "test")}
    assert not parts["train"] & parts["val"]
    assert not parts["train"] & parts["test"]
    assert not parts["val"] & parts["test"]
    assert fold.rows["file"].is_unique
    assert set(fold.rows["split"]) == {"train", "val", "test"}
    assert len(fold.rows) + fold.excluded == len(rows)


def test_every_image_is_held_out_once_and_no_patient_is_on_both_sides():
    rows = rows_of()
    folds = draw_folds(rows, folds=5, classes=CLASSES)
    assert [fold.name for fold in folds] == ["1", "2", "3", "4", "5"]
    tested = pd.concat([fold.part("test") for fold in folds])
    assert sorted(tested["file"]) == sorted(rows["file"])
    for fold in folds:
        assert_no_leak(fold, rows)
        assert fold.excluded == 0


def test_folds_and_inner_split_have_each_label_of_each_source_in_equal_shares():
    for fold in draw_folds(rows_of(), folds=5, val_share=0.25):
        # 20 patients of each label and source: 4 are held out; of the other 16, a quarter is val.
        for split, patients in (("test", 4), ("val", 4), ("train", 12)):
            counts = fold.part(split).groupby(["source", "label"])["patient"].nunique()
            assert len(counts) == 9
            assert set(counts) == {patients}, split


def test_a_source_is_left_out_whole():
    rows = rows_of()
    folds = draw_folds(rows, "source", classes=CLASSES)
    assert [fold.name for fold in folds] == ["north", "south", "west"]
    for fold in folds:
        assert_no_leak(fold, rows)
        assert set(fold.part("test")["source"]) == {fold.name}
        assert len(fold.part("test")) == 120
        assert fold.name not in set(fold.part("train")["source"]) | set(fold.part("val")["source"])


def test_a_patient_of_the_left_out_source_is_not_trained_on_elsewhere():
    rows = rows_of()
    moved = rows["patient"] == "south-normal-0"
    rows.loc[moved, "patient"] = "north-normal-0"
    north, south, west = draw_folds(rows, "source", classes=CLASSES)
    for fold in (north, south):
        assert_no_leak(fold, rows)
        assert fold.excluded == 2
        assert "north-normal-0" in set(fold.part("test")["patient"])
    assert west.excluded == 0


def test_the_draw_depends_on_its_seed_and_not_on_the_column_split():
    rows = rows_of()
    first = draw_folds(rows.assign(split="train"), seed=3)
    again = draw_folds(rows, seed=3)
    other = draw_folds(rows, seed=4)
    for fold, same in zip(first, again, strict=True):
        assert fold.rows["split"].tolist() == same.rows["split"].tolist()
    assert first[0].rows["split"].tolist() != other[0].rows["split"].tolist()
    # Where a source is left out, the seed draws the inner split alone.
    inner, other_inner = (draw_folds(rows, "source", seed=seed)[0].rows["split"] for seed in (3, 4))
    assert inner.tolist() != other_inner.tolist()


def test_only_some_values_are_left_out():
    folds = draw_folds(rows_of(), "source", leave_out=["west"], classes=CLASSES)
    assert [fold.name for fold in folds] == ["west"]


def without(rows, **values):
    (column, value), *others = values.items()
    chosen = rows[column] == value
    for column, value in others:
        chosen &= rows[column] == value
    return rows[~chosen].reset_index(drop=True)


def test_a_source_with_some_of_the_classes_can_be_left_out():
    rows = without(rows_of(), source="west", label="virus")
    folds = {fold.name: fold for fold in draw_folds(rows, "source", classes=CLASSES)}
    assert set(folds["west"].part("test")["label"]) == {"normal", "bacteria"}
    assert set(folds["west"].part("train")["label"]) == set(CLASSES)


def with_partial_labels(rows):
    """The rows; of the source west, nothing but partial labels."""
    return rows.assign(label=rows["label"].where(rows["source"] != "west", "bacteria|virus"))


WRONG = {
    "a source with partial labels only": (
        lambda: draw_folds(with_partial_labels(rows_of()), "source", classes=CLASSES),
        ManifestError,
        "only partial labels in source 'west', which is left out",
    ),
    "the only source of a class": (
        lambda: draw_folds(
            without(without(rows_of(), source="west", label="virus"), source="south", label="virus"),
            "source",
            classes=CLASSES,
        ),
        ManifestError,
        "none of virus in the split train beside source 'north', which is left out",
    ),
    "a class without images": (
        lambda: draw_folds(
            rows_of(("north",)).replace({"label": {"virus": "normal"}}), folds=2, classes=CLASSES
        ),
        ManifestError,
        "none of virus in the split train beside fold 1. Pass fewer folds",
    ),
    "no such column": (
        lambda: draw_folds(rows_of(), "hospital"),
        ManifestError,
        "'hospital'. Available: patient, source",
    ),
    "the label": (lambda: draw_folds(rows_of(), "label"), ManifestError, "'label'. Available"),
    "empty cells": (
        lambda: draw_folds(rows_of().replace({"source": {"west": ""}}), "source"),
        ManifestError,
        "120 empty cells in 'source', first for west/normal0-0.png",
    ),
    "one source": (lambda: draw_folds(rows_of(("north",)), "source"), ManifestError, "two or more"),
    "an unknown value": (
        lambda: draw_folds(rows_of(), "source", leave_out=["east"]),
        ManifestError,
        "Received: east of 'source'",
    ),
    "values by patient": (lambda: draw_folds(rows_of(), leave_out=["west"]), SemenetError, "by patient"),
    "one fold": (lambda: draw_folds(rows_of(), folds=1), ManifestError, "Received: 1 folds, 180 patients"),
    "more folds than patients": (
        lambda: draw_folds(rows_of(("north",), 1), folds=4),
        ManifestError,
        "4 folds, 3 patients",
    ),
    "no inner split": (lambda: draw_folds(rows_of(), val_share=0.0), SemenetError, r"in \(0, 1\)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_named(what):
    draw, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        draw()
