"""Batches against an independent implementation of their specification, and parts against whole batches."""

import functools

import cv2
import numpy as np
import pytest

from semenet.data.pipeline.batches import TrainingBatches
from semenet.data.transforms import host as host_transforms
from semenet.data.transforms.augmentation import Augmentation

ALL_VIEWS = ("original", "clahe", "masked", "masked_clahe")
EVERYTHING = {"zoom": 0.2, "shift": 0.1, "gamma": 0.3, "contrast": 0.4}


class Pictures:
    """Different images in memory; records the rows that are read."""

    def __init__(self, count, size=(24, 32), has_masks=True):
        generator = np.random.default_rng(count)
        self.size = size
        self.has_masks = has_masks
        self.images = generator.integers(0, 256, (count, *size), dtype=np.uint8)
        self.masks = np.zeros((count, *size), np.uint8)
        self.masks[:, 4:20, 6:25] = 1
        self.read_rows = []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        self.read_rows.append(int(row))
        return self.images[row], self.masks[row] if self.has_masks else None


def labels_of(count):
    return np.eye(3, dtype=np.float32)[np.arange(count) % 3]


def training(pictures, augmentation=Augmentation(), **changes):
    arguments = {
        "labels": labels_of(len(pictures)),
        "channels": 1,
        "batch_size": 4,
        "seed": 5,
        "shuffle": True,
    }
    return TrainingBatches(pictures, augmentation=augmentation, **arguments | changes)


def old_draws(augmentation, rows, seed, epoch):
    """Draws order, CLAHE and angles as the first versions did, so that old runs can still be resumed."""

    def philox(*seeds):
        return np.random.Generator(np.random.Philox(seeds))

    items = rows * len(augmentation.views)
    order = np.argsort(philox(1, epoch, seed).random(items), kind="stable")
    share, turn = philox(2, epoch, seed).random((items, 2)).T
    always = np.repeat([view.endswith("clahe") for view in augmentation.views], rows)
    if augmentation.clahe_draw == "epoch":
        drawn = share < augmentation.clahe
    else:
        others = np.flatnonzero(~always)
        others = others[np.argsort(philox(3, seed).random(len(others)), kind="stable")]
        drawn = np.isin(np.arange(items), others[: round(augmentation.clahe * len(others))])
    return order, always | drawn, (2 * turn - 1) * augmentation.rotation


def old_rotation(image, degrees, interpolation):
    height, width = image.shape
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = (width - 1) / 2, (height - 1) / 2
    source = np.array(((cosine, -sine, x - cosine * x + sine * y), (sine, cosine, y - sine * x - cosine * y)))
    return cv2.warpAffine(image, source, (width, height), flags=interpolation | cv2.WARP_INVERSE_MAP)


def enhanced(image):
    return cv2.createCLAHE(2.0, (8, 8)).apply(image)


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("clahe_draw", ["epoch", "fixed"])
def test_rotation_and_clahe_alone_give_the_batches_of_the_first_versions(segments, clahe_draw):
    pictures = Pictures(7)
    views = ("original", "clahe") if segments else ALL_VIEWS
    augmentation = Augmentation(clahe=0.4, rotation=30, views=views, clahe_draw=clahe_draw)
    batches = training(pictures, augmentation, **({"labels": None} if segments else {}))
    items = 7 * len(views)
    assert batches.steps == -(-items // 4)
    for epoch in range(2):
        order, has_clahe, degrees = old_draws(augmentation, 7, 5, epoch)
        found = [batches[epoch * batches.steps + step] for step in range(batches.steps)]
        images, targets = (np.concatenate(parts) for parts in zip(*found, strict=True))
        assert len(images) == items
        for place, item in enumerate(order):
            view, row = divmod(item, 7)
            image = pictures.images[row]
            if has_clahe[item]:
                image = enhanced(image)
            if views[view].startswith("masked"):
                image = image * pictures.masks[row]
            expected = old_rotation(image, degrees[item], cv2.INTER_LINEAR)
            np.testing.assert_array_equal(images[place, ..., 0], expected)
            if segments:
                mask = old_rotation(pictures.masks[row], degrees[item], cv2.INTER_NEAREST)
                np.testing.assert_array_equal(targets[place, ..., 0], mask)
            else:
                np.testing.assert_array_equal(targets[place], np.eye(3)[row % 3])


def test_tone_changes_come_after_clahe_and_before_mask_and_warp():
    pictures = Pictures(6)
    augmentation = Augmentation(clahe=0.5, rotation=20, views=ALL_VIEWS, **EVERYTHING)
    batches = training(pictures, augmentation, batch_size=24)
    images, _ = batches[1]
    order, has_clahe, degrees = old_draws(augmentation, 6, 5, 1)
    uniform = 2 * np.random.Generator(np.random.Philox((4, 1, 5))).random((24, 5)) - 1
    for place, item in enumerate(order):
        view, row = divmod(item, 6)
        zoom, gamma, contrast = np.array((1.2, 1.3, 1.4)) ** uniform[item, [0, 3, 4]]
        image = enhanced(pictures.images[row]) if has_clahe[item] else pictures.images[row]
        image = host_transforms.tone_table(gamma, contrast)[image]
        if view >= 2:
            image = image * pictures.masks[row]
        expected = host_transforms.warp(image, degrees[item], zoom, 0.1 * uniform[item, 1:3])
        # The last bit of a power may differ between machines, and with it a pixel's rounding.
        assert np.abs(images[place, ..., 0].astype(int) - expected).max() <= 1


def drawn(monkeypatch, items=600, seed=5, epoch=0, **changes):
    """Records the changes of an epoch's items: (zoom, down, right, gamma, contrast), in item order."""
    recorded = []
    warp, tone_table = host_transforms.warp, host_transforms.tone_table

    def record_warp(image, degrees, zoom, shift, out):
        recorded.append([zoom, *shift])
        return warp(image, degrees, zoom, shift, out)

    def record_tone(gamma, contrast):
        recorded.append([gamma, contrast])
        return tone_table(gamma, contrast)

    monkeypatch.setattr(host_transforms, "warp", record_warp)
    monkeypatch.setattr(host_transforms, "tone_table", record_tone)
    pictures = Pictures(items, size=(3, 4))
    batches = training(pictures, Augmentation(**changes), batch_size=items, seed=seed, shuffle=False)
    batches[epoch]
    return np.array([[*shape, *tone] for tone, shape in zip(recorded[::2], recorded[1::2], strict=True)])


def test_changes_are_drawn_uniformly_over_their_whole_range(monkeypatch):
    found = drawn(monkeypatch, **EVERYTHING)
    shares = np.stack(
        [
            np.log(found[:, 0]) / np.log(1.2),
            found[:, 1] / 0.1,
            found[:, 2] / 0.1,
            np.log(found[:, 3]) / np.log(1.3),
            np.log(found[:, 4]) / np.log(1.4),
        ]
    )
    assert np.abs(shares).max() <= 1
    assert (shares.min(axis=1) < -0.97).all()
    assert (shares.max(axis=1) > 0.97).all()
    # The mean's standard deviation is 1 / sqrt(3 * 600) = 0.024, a correlation's 0.041.
    assert np.abs(shares.mean(axis=1)).max() < 0.1
    assert np.abs((np.abs(shares) < 0.5).mean(axis=1) - 0.5).max() < 0.1
    assert np.abs(np.corrcoef(shares) - np.eye(5)).max() < 0.17


def test_a_change_depends_on_seed_epoch_and_item_and_not_on_other_changes(monkeypatch):
    draw = functools.partial(drawn, monkeypatch, 20)
    found = draw(**EVERYTHING)
    np.testing.assert_array_equal(draw(**EVERYTHING), found)
    assert (draw(seed=6, **EVERYTHING) != found).all()
    assert (draw(epoch=1, **EVERYTHING) != found).all()
    part = draw(zoom=0.2, gamma=0.3)
    np.testing.assert_array_equal(part[:, [0, 3]], found[:, [0, 3]])
    np.testing.assert_array_equal(part[:, [1, 2, 4]], np.tile([0.0, 0.0, 1.0], (20, 1)))


def test_pixels_blackened_by_mask_or_warp_stay_black_after_any_tone_change():
    pictures = Pictures(20)
    pictures.images[:] = 90
    augmentation = Augmentation(views=("masked",), rotation=20, shift=0.3, contrast=1.0, gamma=0.5)
    images, _ = training(pictures, augmentation, batch_size=20)[0]
    # The corners of every image are black, although low contrast changes black to up to 64.
    assert (images[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).mean() > 0.9
    assert len(np.unique(images.max(axis=(1, 2, 3)))) > 10


def test_image_and_mask_are_warped_together():
    pictures = Pictures(9)
    pictures.images[:] = pictures.masks * 255
    augmentation = Augmentation(rotation=20, zoom=0.3, shift=0.2)
    images, masks = training(pictures, augmentation, labels=None, batch_size=9)[0]
    sure = np.isin(images, (0, 255))
    np.testing.assert_array_equal(images[sure] / 255, masks[sure])
    assert 0.5 < sure.mean() < 1
    assert set(np.unique(masks)) == {0, 1}
    assert len(np.unique(masks.sum(axis=(1, 2, 3)))) > 5


@pytest.mark.parametrize(
    ("items", "batch_size", "multiple", "processes", "last"),
    [
        (11, 4, 1, 1, 3),
        (11, 4, 2, 2, 4),
        (9, 8, 2, 2, 2),
        (9, 8, 4, 2, 4),
        (9, 8, 8, 4, 8),
        (8, 8, 8, 8, 8),
        (2, 8, 8, 2, 8),
    ],
)
@pytest.mark.parametrize("segments", [False, True])
def test_the_parts_of_all_processes_form_the_batch_of_one_process(
    items, batch_size, multiple, processes, last, segments
):
    augmentation = Augmentation(clahe=0.5, rotation=20, **EVERYTHING)
    arguments = {"batch_size": batch_size, "multiple": multiple}
    if segments:
        arguments["labels"] = None
    whole = training(Pictures(items), augmentation, **arguments)
    shares = [
        training(Pictures(items), augmentation, part=(rank, processes), **arguments)
        for rank in range(processes)
    ]
    assert {batches.steps for batches in (whole, *shares)} == {-(-items // batch_size)}
    for step in range(2 * whole.steps):
        of_step = [batches[step] for batches in shares]
        assert len({len(images) for images, _ in of_step}) == 1
        for expected, parts in zip(whole[step], zip(*of_step, strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert len(whole[whole.steps - 1][0]) == last
    if processes > 1 and last == batch_size and items > batch_size:
        # No process reads rows that only another one needs.
        assert sum(len(batches.images.read_rows) for batches in shares) == len(whole.images.read_rows) - last


@pytest.mark.parametrize("items", [9, 16, 3])
def test_the_last_batch_is_filled_up_with_the_first_items_of_the_epoch(items):
    augmentation = Augmentation(rotation=20, zoom=0.1)
    plain = training(Pictures(items), augmentation, batch_size=8)
    filled = training(Pictures(items), augmentation, batch_size=8, multiple=4)
    for epoch in range(2):
        steps = range(epoch * plain.steps, (epoch + 1) * plain.steps)
        for number in range(2):
            before = np.concatenate([plain[step][number] for step in steps])
            after = np.concatenate([filled[step][number] for step in steps])
            assert len(after) == -(-items // 4) * 4
            np.testing.assert_array_equal(after[:items], before)
            np.testing.assert_array_equal(after[items:], before[: len(after) - items])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": (2, 2), "multiple": 2}, r"0 <= rank < processes. Received: \(2, 2\)"),
        ({"part": (-1, 2), "multiple": 2}, "0 <= rank < processes"),
        ({"part": (0, 0)}, "0 <= rank < processes"),
        ({"part": (0, 2)}, "batch_size=4, multiple=1, 2 processes"),
        ({"part": (0, 2), "multiple": 3, "batch_size": 6}, "batch_size=6, multiple=3, 2 processes"),
        ({"multiple": 3}, "batch_size=4, multiple=3, 1 processes"),
        ({"multiple": 0}, "multiple=0"),
    ],
)
def test_batches_that_do_not_split_evenly_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        training(Pictures(5), **changes)
