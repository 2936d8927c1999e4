"""Draws by weight: expected counts worked out by hand, rounding in every epoch, and batches of drawn rows."""

import math

import numpy as np
import pandas as pd
import pytest

from semenet.data.manifest.csv_file import ManifestError
from semenet.data.manifest.table import read_manifest
from semenet.data.pipeline.balanced_draw import BalancedDraw, format_cells
from semenet.data.pipeline.datasets import training_batches
from semenet.data.pipeline.sampling import Sampling
from semenet.data.transforms.augmentation import Augmentation
from semenet.errors import SemenetError

PHANTOM_SAMPLING = Sampling(("label",), epoch_images=50)
NOISE = Augmentation(acquisition=1.0, acquisition_changes=("noise",), rotation=20)


def table(cells):
    """Rows of cells, given as (label, source, number of rows), in an order that mixes them."""
    rows = pd.DataFrame(
        [(label, source) for label, source, count in cells for _ in range(count)], columns=["label", "source"]
    )
    rows["file"] = [f"{number}.png" for number in range(len(rows))]
    return rows.sample(frac=1, random_state=3).reset_index(drop=True)


def totals(rows, values, *columns):
    return values.groupby([rows[column] for column in columns]).sum().to_dict()


def drawn_counts(draw, epoch, seed=4):
    drawn = draw.rows_of_epoch(seed, epoch)
    assert len(drawn) == draw.count
    return np.bincount(drawn, minlength=len(draw.expected))


CELLS = [("a", "s", 100), ("a", "t", 25), ("b", "s", 9), ("b", "u", 16)]


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        # Half of 280 for each label; within a label in proportion to the size to the power of 1 - power.
        (0.0, {("a", "s"): 112, ("a", "t"): 28, ("b", "s"): 50.4, ("b", "u"): 89.6}),
        (0.5, {("a", "s"): 140 * 10 / 15, ("a", "t"): 140 * 5 / 15, ("b", "s"): 60, ("b", "u"): 80}),
        (1.0, {("a", "s"): 70, ("a", "t"): 70, ("b", "s"): 70, ("b", "u"): 70}),
    ],
)
def test_expected_counts_worked_out_by_hand(power, expected):
    rows = table(CELLS)
    draw = BalancedDraw(rows, Sampling(("label", "source"), power, epoch_images=280))
    found = totals(rows, pd.Series(draw.expected), "label", "source")
    assert found == pytest.approx(expected)
    for cell in expected:
        of_cell = draw.expected[(rows["label"] == cell[0]) & (rows["source"] == cell[1])]
        assert np.ptp(of_cell) == 0


def test_a_partial_label_belongs_in_equal_parts_to_its_classes():
    cells = [("normal", "s", 16), ("bacteria", "s", 4), ("virus", "s", 9)]
    rows = table([*cells, ("virus|bacteria", "s", 3), ("bacteria|virus", "s", 1)])
    draw = BalancedDraw(rows, Sampling(("label",), 0.5, epoch_images=300))
    # The partial label's weight of sqrt(4) / 2 competes with bacteria's sqrt(4) and with virus' sqrt(9).
    expected = {"normal": 100, "bacteria": 100 * 2 / 3, "virus": 75, "bacteria|virus": 100 / 3 + 25}
    found = {cell["values"]["label"]: 300 * cell["share"] for cell in draw.describe()["cells"]}
    assert found == pytest.approx(expected, abs=1e-3)


def test_other_first_columns_are_not_split():
    rows = table([("x", "s|t", 10), ("x", "s", 20), ("x", "t", 10)])
    draw = BalancedDraw(rows, Sampling(("source",), 0.5, epoch_images=30))
    found = totals(rows, pd.Series(draw.expected), "source")
    assert found == pytest.approx({"s|t": 10, "s": 10, "t": 10})


@pytest.mark.parametrize("count", [7, 280, 1001])
def test_every_epoch_holds_each_image_cell_and_group_as_expected_rounded_down_or_up(count):
    rows = table(CELLS)
    draw = BalancedDraw(rows, Sampling(("label", "source"), 0.5, epoch_images=count))
    for epoch in range(50):
        found = drawn_counts(draw, epoch)
        assert (np.abs(found - draw.expected) < 1 + 1e-9).all()
        for columns in (("label",), ("label", "source")):
            expected = totals(rows, pd.Series(draw.expected), *columns)
            for cell, total in totals(rows, pd.Series(found), *columns).items():
                assert math.floor(expected[cell] + 1e-9) <= total <= math.ceil(expected[cell] - 1e-9)


def test_over_many_epochs_images_and_cells_are_drawn_as_often_as_expected():
    rows = table(CELLS)
    draw = BalancedDraw(rows, Sampling(("label", "source"), 0.5, epoch_images=60))
    epochs = 4000
    mean = sum(drawn_counts(draw, epoch) for epoch in range(epochs)) / epochs
    # A count is rounded down or up: its variance is at most 1/4 an epoch.
    allowed = 5 * 0.5 / epochs**0.5
    assert np.abs(mean - draw.expected).max() < allowed
    expected = totals(rows, pd.Series(draw.expected), "label", "source")
    assert totals(rows, pd.Series(mean), "label", "source") == pytest.approx(expected, abs=allowed)


def test_the_images_of_a_cell_are_rounded_up_independently():
    """Pairs of neighbours must be drawn together as often as others, which a fixed order would prevent."""
    rows = table([("a", "s", 12)])
    draw = BalancedDraw(rows, Sampling(epoch_images=6))
    counts = np.array([drawn_counts(draw, epoch) for epoch in range(3000)])
    together = counts.T @ counts / len(counts)
    pairs = together[np.triu_indices(12, 1)]
    # Of 12 images 6 are drawn: a pair with a probability near 6 / 12 * 5 / 11.
    assert pairs.min() > 0.18
    assert pairs.max() < 0.28


def test_without_balance_each_image_is_drawn_once():
    draw = BalancedDraw(table(CELLS), Sampling(epoch_images=150))
    assert drawn_counts(draw, 3).tolist() == [1] * 150


def test_a_draw_is_a_function_of_seed_and_epoch():
    draw = BalancedDraw(table(CELLS), Sampling(("label",)))
    first = draw.rows_of_epoch(4, 1)
    np.testing.assert_array_equal(draw.rows_of_epoch(4, 1), first)
    assert (draw.rows_of_epoch(4, 2) != first).any()
    assert (draw.rows_of_epoch(5, 1) != first).any()


def test_the_cells_are_described_with_their_shares():
    rows = table(CELLS)
    described = BalancedDraw(rows, Sampling(("label", "source"), 1.0, epoch_images=300)).describe()
    assert described["images"] == 300
    assert described["cells"][1] == {"values": {"label": "a", "source": "t"}, "rows": 25, "share": 0.25}
    assert "  a, t: 25 rows, 16.7% of all; 25.0% of the draws, each image 3.00 times" in format_cells(
        described, len(rows)
    )
    swapped = rows.assign(source=rows["source"].to_numpy()[::-1])
    other = BalancedDraw(swapped, Sampling(("label", "source"))).describe()
    assert other["columns_sha256"] != described["columns_sha256"]


def test_an_unknown_column_and_empty_cells_are_named():
    rows = table(CELLS)
    with pytest.raises(ManifestError, match="Received: hospital; the manifest has label, source, file"):
        BalancedDraw(rows, Sampling(("label", "hospital")))
    rows.loc[3, "source"] = " "
    with pytest.raises(ManifestError, match=f"'source', which is empty for {rows['file'][3]}"):
        BalancedDraw(rows, Sampling(("label", "source")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"balance": "label"}, "`balance` must be a tuple"),
        ({"balance": ("label", "label")}, "`balance` must be a tuple"),
        ({"balance": ("label", "")}, "`balance` must be a tuple"),
        ({"balance_power": 1.1}, r"`balance_power` must be a number in \[0, 1\]"),
        ({"balance_power": float("nan")}, r"`balance_power` must be a number in \[0, 1\]"),
        ({"epoch_images": 0}, "`epoch_images` must be 1 or more"),
        ({"epoch_images": 2.5}, "`epoch_images` must be 1 or more"),
    ],
)
def test_values_out_of_range_are_rejected(values, message):
    with pytest.raises(SemenetError, match=message):
        Sampling(**values)


@pytest.fixture(scope="module")
def rows(phantoms):
    return read_manifest(phantoms).split("train")


def batches_of(rows, **changes):
    arguments = {
        "class_names": ("normal", "bacteria", "virus"),
        "input_size": (32, 32),
        "batch_size": 8,
        "seed": 5,
        "sampling": PHANTOM_SAMPLING,
    }
    return training_batches(rows, **arguments | changes)


def images_of(batches, steps):
    return np.concatenate([batches[step][0] for step in steps])


def test_batches_hold_the_drawn_rows_with_their_labels_in_random_order(rows):
    batches = batches_of(rows)
    assert batches.steps == 7
    resized = np.stack([batches.images[row][0] for row in range(len(rows))])
    assert len(np.unique(resized, axis=0)) == len(rows)
    counts, order = np.zeros(len(rows), int), []
    for step in range(batches.steps):
        images, labels = batches[step]
        for image, label in zip(images[..., 0], labels, strict=True):
            (row,) = np.flatnonzero((resized == image).all(axis=(1, 2)))
            assert rows["label"][row] == ("normal", "bacteria", "virus")[label.argmax()]
            counts[row] += 1
            order.append(row)
    np.testing.assert_array_equal(counts, drawn_counts(BalancedDraw(rows, PHANTOM_SAMPLING), 0, seed=5))
    assert order != sorted(order)


def test_every_draw_is_used_in_every_view(rows):
    batches = batches_of(rows, augmentation=Augmentation(views=("original", "clahe")))
    assert batches.items == 100
    labels = np.concatenate([batches[step][1] for step in range(batches.steps)])
    assert labels.sum(axis=0) == pytest.approx(100 / 3, abs=2)


def test_two_draws_of_an_image_are_augmented_differently(rows):
    few = rows.groupby("label").head(1).reset_index(drop=True)
    batches = batches_of(few, augmentation=NOISE, sampling=Sampling(("label",), epoch_images=48))
    images = images_of(batches, range(batches.steps))
    assert len(np.unique(images, axis=0)) == 48


def test_drawn_images_get_fixed_clahe_by_image(rows):
    few = rows.head(4)
    batches = batches_of(
        few,
        class_names=tuple(sorted(set(few["label"]))),
        augmentation=Augmentation(clahe=0.5, clahe_draw="fixed"),
        sampling=Sampling(epoch_images=40),
    )
    images = images_of(batches, range(2 * batches.steps))
    assert len(np.unique(images, axis=0)) == 4


def test_parts_caches_and_the_order_of_batches_do_not_change_the_pixels(rows, tmp_path):
    whole = batches_of(rows, augmentation=NOISE, multiple=4)
    expected = [whole[step] for step in range(2 * whole.steps)]
    assert len(expected[whole.steps - 1][0]) == 4
    ways = {
        "memory": {"cache": "memory"},
        "disk": {"cache": "disk", "cache_folder": tmp_path},
    }
    for name, way in ways.items():
        parts = [batches_of(rows, augmentation=NOISE, multiple=4, part=(rank, 2), **way) for rank in (0, 1)]
        # Backwards, because a resumed run starts anywhere.
        for step in reversed(range(2 * whole.steps)):
            for place in (0, 1):
                joined = np.concatenate([part[step][place] for part in parts])
                np.testing.assert_array_equal(joined, expected[step][place], err_msg=name)
