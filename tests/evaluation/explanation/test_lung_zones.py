"""Zones of the lungs and shares of heat, worked out by hand on rectangles, and on phantoms."""

import numpy as np
import pytest

from semenet.data.phantom.frontal import draw_radiograph
from semenet.evaluation.explanation.lung_zones import ZONES, heat_by_class, heat_shares, lung_zones
from semenet.models.receptive_fields import ReceptiveField


def two_lungs():
    """The right lung: rows 2 to 7, columns 1 to 4; the left one: rows 1 to 9, columns 7 to 9."""
    mask = np.zeros((12, 12), np.uint8)
    mask[2:8, 1:5] = 255
    mask[1:10, 7:10] = 255
    return mask


def rectangle(rows, columns):
    mask = np.zeros((12, 12), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_zones_of_rectangles():
    zones = lung_zones(two_lungs())
    assert tuple(zones) == ZONES
    expected = {
        "right": rectangle((2, 8), (1, 5)),
        "left": rectangle((1, 10), (7, 10)),
        "upper": rectangle((2, 4), (1, 5)) | rectangle((1, 4), (7, 10)),
        "middle": rectangle((4, 6), (1, 5)) | rectangle((4, 7), (7, 10)),
        "lower": rectangle((6, 8), (1, 5)) | rectangle((7, 10), (7, 10)),
        # The middle one of the left lung's three columns is central too.
        "central": rectangle((2, 8), (3, 5)) | rectangle((1, 10), (7, 9)),
        "peripheral": rectangle((2, 8), (1, 3)) | rectangle((1, 10), (9, 10)),
    }
    for name, zone in zones.items():
        np.testing.assert_array_equal(zone, expected[name], err_msg=name)


def test_zones_follow_each_row_of_a_slanted_lung():
    mask = np.zeros((4, 12), bool)
    for row in range(4):
        mask[row, row : row + 2] = True
        mask[row, 10] = True
    zones = lung_zones(mask)
    assert [np.flatnonzero(row[:8]).tolist() for row in zones["central"]] == [[1], [2], [3], [4]]


def test_touching_lungs_are_split_where_the_mask_is_thinnest():
    mask = two_lungs()
    mask[5, 5:7] = 255
    zones = lung_zones(mask)
    assert (zones["right"] | zones["left"]).sum() == (mask > 0).sum()
    assert zones["right"][2:8, 1:5].all()
    assert zones["left"][1:10, 7:10].all()


def test_a_single_lung_is_split_at_its_middle():
    zones = lung_zones(rectangle((0, 12), (2, 8)))
    np.testing.assert_array_equal(zones["right"], rectangle((0, 12), (2, 5)))
    np.testing.assert_array_equal(zones["left"], rectangle((0, 12), (5, 8)))


def test_specks_and_stacked_pieces_are_not_a_second_lung():
    mask = rectangle((0, 10), (2, 8))
    speck = mask.copy()
    speck[11, 11] = True
    zones = lung_zones(speck)
    assert not (zones["right"] | zones["left"])[11, 11]
    assert zones["left"][0, 7]
    # One lung in two pieces, the other missing: only the larger piece is split.
    zones = lung_zones(rectangle((0, 6), (2, 8)) | rectangle((8, 11), (2, 8)))
    assert zones["right"].sum() == zones["left"].sum() == 18


def test_unusual_masks():
    assert lung_zones(np.zeros((5, 5), np.uint8)) is None
    one = np.zeros((5, 5), np.uint8)
    one[2, 2] = 1
    zones = lung_zones(one)
    assert (zones["right"] | zones["left"]).sum() == 1
    with pytest.raises(ValueError, match=r"array \(H, W\). Received: shape \(5, 5, 1\)"):
        lung_zones(one[..., None])


def test_zones_of_phantoms_partition_the_lungs():
    for seed in range(4):
        mask = draw_radiograph("normal", size=128, seed=seed).lungs
        zones = lung_zones(mask)
        lungs = zones["right"] | zones["left"]
        # The tip of a lung may be separated as a speck of pixels.
        assert (mask & ~lungs).sum() < 0.002 * mask.sum()
        for parts in (("right", "left"), ("upper", "middle", "lower"), ("central", "peripheral")):
            np.testing.assert_array_equal(sum(zones[part].astype(int) for part in parts), lungs)
        columns = {side: np.flatnonzero(zones[side].any(axis=0)) for side in ("right", "left")}
        assert columns["right"].max() < columns["left"].min(), "the patient's right is at the image's left"
        middle = (columns["right"].max() + columns["left"].min()) / 2
        distance = np.abs(np.arange(128) - middle)
        for side in ("right", "left"):
            means = [
                np.average(distance, weights=(zones[side] & zones[part]).sum(axis=0))
                for part in ("central", "peripheral")
            ]
            assert means[0] < means[1]


def test_shares_of_single_cells():
    """One pixel per cell: 1 in the right upper outer lung, 2 in the left lower inner lung, 1 outside."""
    heat = np.zeros((12, 12))
    heat[2, 1], heat[9, 7], heat[0, 0] = 1, 2, 1
    found = heat_shares(heat, two_lungs())
    assert found["in_lung"] == pytest.approx(3 / 4)
    assert found["lung_area"] == pytest.approx((24 + 27) / 144)
    assert found["ratio"] == pytest.approx(0.75 / (51 / 144))
    assert found["zones"] == pytest.approx(
        {"right": 1 / 3, "left": 2 / 3, "upper": 1 / 3, "middle": 0, "lower": 2 / 3}
        | {"central": 2 / 3, "peripheral": 1 / 3}
    )
    assert found["zone_areas"]["right"] == pytest.approx(24 / 51)
    assert found["zone_areas"]["lower"] == pytest.approx((8 + 9) / 51)
    assert found["zone_areas"]["central"] == pytest.approx((12 + 18) / 51)


def test_uniform_heat_has_the_shares_of_the_areas():
    found = heat_shares(np.ones((3, 3)), two_lungs())
    assert found["ratio"] == pytest.approx(1)
    assert found["zones"] == pytest.approx(found["zone_areas"])


def test_heat_is_placed_by_the_receptive_fields():
    """Only the first of four cells in a row is hot. An even stretch would wrongly reach the right lung."""
    mask = np.zeros((12, 12), np.uint8)
    mask[:, 2:4] = mask[:, 8:10] = 1
    heat = np.tile(np.float32([[1, 0, 0, 0]]), (4, 1))
    geometry = ReceptiveField((3, 3), (2.0, 2.0), (1.0, 0.0), (4, 4), (12, 12))
    # By pixel: 1, 0.5, 0, ...
    assert heat_shares(heat, mask, geometry)["in_lung"] == 0
    assert heat_shares(heat, mask, geometry)["zones"] is None
    # By pixel: 1, 1, 2/3, 1/3, 0, ...
    assert heat_shares(heat, mask)["in_lung"] == pytest.approx(1 / 3)


def test_undefined_shares_are_none():
    assert heat_shares(np.zeros((3, 3)), two_lungs()) is None
    assert heat_shares(np.ones((3, 3)), np.zeros((12, 12))) is None


def test_classes_are_summarised_separately():
    right, outside = np.zeros((12, 12)), np.zeros((12, 12))
    right[2:8, 1:5] = 1
    outside[11, 11] = 1
    mask, empty = two_lungs(), np.zeros((12, 12))
    heats = [right, right + 24 * outside, outside, np.zeros((12, 12)), right, right]
    masks = [mask, mask, mask, mask, empty, None]
    found = heat_by_class(heats, masks, np.array([0, 0, 0, 0, 0, 1]), ("virus", "normal", "bacteria"))
    virus = found["virus"]
    assert (virus["count"], virus["empty_maps"], virus["without_lungs"]) == (3, 1, 1)
    assert virus["in_lung"]["mean"] == pytest.approx(0.5)
    assert virus["in_lung"]["p50"] == pytest.approx(0.5)
    # A tenth of the way from 0 to 0.5.
    assert virus["in_lung"]["p5"] == pytest.approx(0.05)
    assert virus["in_lung"]["p95"] == pytest.approx(0.95)
    assert virus["lung_area"]["mean"] == pytest.approx(51 / 144)
    # Mean of the two maps with heat in the lungs.
    assert virus["zones"]["right"] == pytest.approx(1)
    nothing = {"count": 0, "empty_maps": 0, "in_lung": None, "lung_area": None, "ratio": None}
    nothing |= {"zones": None, "zone_areas": None}
    assert found["normal"] == nothing | {"without_lungs": 1}
    assert found["bacteria"] == nothing | {"without_lungs": 0}
    with pytest.raises(ValueError, match="Received: 2 maps, 1 masks, 2 classes"):
        heat_by_class([right, right], [mask], [0, 0], ("virus",))
