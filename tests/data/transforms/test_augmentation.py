"""The checks of augmentation settings, which recipes and pipelines rely on."""

import numpy as np
import pytest

from semenet.data.transforms.augmentation import VIEWS, Augmentation
from semenet.errors import SemenetError


@pytest.mark.parametrize(
    ("name", "value", "maximum"),
    [
        ("clahe", 1.1, "1"),
        ("clahe", "0.4", "1"),
        ("rotation", -1, "180"),
        ("rotation", 181, "180"),
        ("zoom", 0.51, "0.5"),
        ("zoom", -0.1, "0.5"),
        ("shift", 0.6, "0.5"),
        ("gamma", 1.1, "1"),
        ("gamma", None, "1"),
        ("contrast", float("nan"), "1"),
        ("acquisition", 1.5, "1"),
    ],
)
def test_values_out_of_range_are_rejected(name, value, maximum):
    with pytest.raises(
        SemenetError,
        match=rf"`{name}` must be a number in \[0, {maximum}\].*Received: {value!r}. .*turns it off",
    ):
        Augmentation(**{name: value})
    assert getattr(Augmentation(**{name: float(maximum)}), name) == float(maximum)


@pytest.mark.parametrize("views", [(), ("clahe",) * 2, ("x",), ("original", "x"), "original", None])
def test_wrong_views_are_rejected(views):
    with pytest.raises(
        SemenetError, match="`views` must be one or more of original, clahe, masked, masked_clahe"
    ):
        Augmentation(views=views)


@pytest.mark.parametrize("names", [(), ("jpeg", "jpeg"), ("jpg",), "jpeg", None])
def test_wrong_changes_of_acquisition_are_rejected(names):
    with pytest.raises(
        SemenetError, match="`acquisition_changes` must be one or more of collimation, .*jpeg,"
    ):
        Augmentation(acquisition_changes=names)


def test_unknown_clahe_draw_is_rejected():
    with pytest.raises(SemenetError, match="`clahe_draw` must be one of epoch, fixed, added. .*'once'"):
        Augmentation(clahe_draw="once")


@pytest.mark.parametrize("views", [("original", "clahe"), ("masked_clahe",)])
def test_copies_with_clahe_are_not_added_to_views_with_clahe(views):
    with pytest.raises(SemenetError, match="added to views without CLAHE"):
        Augmentation(clahe=0.4, clahe_draw="added", views=views)


def test_views_become_a_tuple():
    assert Augmentation(views=["original", "masked"]) == Augmentation(views=("original", "masked"))
    assert hash(Augmentation(views=["clahe"])) == hash(Augmentation(views=("clahe",)))


def test_numpy_numbers_are_accepted():
    assert Augmentation(clahe=np.float32(0.5), rotation=np.int64(30)).warps


def test_default_changes_nothing():
    default = Augmentation()
    assert not any((default.needs_masks, default.only_masked, default.warps, default.changes_tone))


@pytest.mark.parametrize("name", ["rotation", "zoom", "shift"])
def test_geometric_changes_warp(name):
    changed = Augmentation(**{name: 0.1})
    assert changed.warps
    assert not changed.changes_tone


@pytest.mark.parametrize("name", ["gamma", "contrast"])
def test_gamma_and_contrast_change_tone(name):
    changed = Augmentation(**{name: 0.1})
    assert changed.changes_tone
    assert not changed.warps


def test_masked_views_need_masks_and_do_not_suit_segmentation():
    mixed, masked = Augmentation(views=VIEWS), Augmentation(views=("masked", "masked_clahe"))
    assert mixed.needs_masks
    assert masked.needs_masks
    assert not mixed.only_masked
    assert masked.only_masked
    for augmentation in (mixed, masked):
        with pytest.raises(SemenetError, match="whole images"):
            augmentation.check_for_segmentation()
    Augmentation(views=("original", "clahe")).check_for_segmentation()
