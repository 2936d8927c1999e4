"""The random choices of a training epoch, each a function of (seed, epoch, item)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from semenet.data.pipeline.balanced_draw import BalancedDraw
    from semenet.data.transforms.augmentation import Augmentation

# The first seed of each random stream. Without it the order of epoch 0 would be drawn from the same numbers
# as the changes of its items. Stream 5 draws rows (`balanced_draw`), stream 6 changes of acquisition
# (`semenet.data.transforms.acquisition_draw`).
_ORDER_STREAM, _ITEM_STREAM, _FIXED_CLAHE_STREAM, _CHANGE_STREAM = 1, 2, 3, 4
# Zoom, shift down, shift right, gamma and contrast of an unchanged item.
_UNCHANGED = (1.0, 0.0, 0.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class EpochPlan:
    """The order of an epoch's items and the random changes of each item. An item is one view of one draw.

    Attributes:
        drawn: the row of each draw. Without sampling every row is drawn once, in the manifest's order.
        order: the items in their order. Item `i` is draw `i % draws` in view `i // draws`; beyond the views,
            these are the copies with CLAHE that are added to them, in the views' order.
        has_clahe: bool (items,).
        degrees: float (items,), the angles of rotation.
        changes: float (items, 5): zoom, shift down, shift right, gamma, contrast; None for no change.
    """

    drawn: np.ndarray
    order: np.ndarray
    has_clahe: np.ndarray
    degrees: np.ndarray
    changes: np.ndarray | None

    def changes_of(self, item: int) -> tuple[float, ...] | list[float]:
        """Returns an item's zoom, shift down, shift right, gamma and contrast."""
        return _UNCHANGED if self.changes is None else self.changes[item].tolist()


def draw_epoch_plan(
    augmentation: Augmentation,
    rows: int,
    seed: int,
    epoch: int,
    *,
    shuffle: bool = True,
    multiple: int = 1,
    draw: BalancedDraw | None = None,
) -> EpochPlan:
    """Draws the random choices of an epoch.

    Args:
        augmentation: the random changes and the views.
        rows: the number of rows.
        seed: an integer of 0 or more.
        epoch: the epoch's number, from 0.
        shuffle: whether the items are in random order; otherwise they are in ascending order.
        multiple: the order is filled up with its first items to a multiple of this length.
        draw: which rows the epoch holds; None for each row once.

    Returns:
        The epoch's plan, the same for the same arguments on every machine.
    """
    drawn = np.arange(rows) if draw is None else draw.rows_of_epoch(seed, epoch)
    existing = items = len(drawn) * len(augmentation.views)
    order = np.arange(items)
    if augmentation.clahe_draw == "added":
        added = items + np.flatnonzero(_fixed_clahe(augmentation, len(drawn), seed))
        order = np.concatenate([order, added])
        items *= 2
    if shuffle:
        order = order[_shuffled(len(order), (_ORDER_STREAM, epoch, seed))]
    share, angle = _generator(_ITEM_STREAM, epoch, seed).random((items, 2)).T
    always = np.repeat([view.endswith("clahe") for view in augmentation.views], len(drawn))
    if augmentation.clahe_draw == "epoch":
        has_clahe = always | (share < augmentation.clahe)
    elif augmentation.clahe_draw == "added":
        has_clahe = np.arange(items) >= existing
    else:
        has_clahe = always | _fixed_clahe(augmentation, rows, seed)[:, drawn].ravel()
    return EpochPlan(
        drawn=drawn,
        # np.resize repeats the order from its beginning.
        order=np.resize(order, -(-len(order) // multiple) * multiple),
        has_clahe=has_clahe,
        degrees=(2 * angle - 1) * augmentation.rotation,
        changes=_draw_changes(augmentation, items, seed, epoch),
    )


def count_items(augmentation: Augmentation, draws: int) -> int:
    """Returns the number of items of an epoch, which is the same for all epochs.

    Args:
        augmentation: the views, and the copies with CLAHE that are added to them.
        draws: the number of rows or of draws of rows.
    """
    items = draws * len(augmentation.views)
    return items + (round(augmentation.clahe * items) if augmentation.clahe_draw == "added" else 0)


def _fixed_clahe(augmentation: Augmentation, rows: int, seed: int) -> np.ndarray:
    """Returns which row gets CLAHE in which view without CLAHE of its own: bool (views, rows)."""
    chosen = np.zeros((len(augmentation.views), rows), bool)
    without = [index for index, view in enumerate(augmentation.views) if not view.endswith("clahe")]
    count = len(without) * rows
    of_candidates = np.zeros(count, bool)
    shuffled = _shuffled(count, (_FIXED_CLAHE_STREAM, seed))
    of_candidates[shuffled[: round(augmentation.clahe * count)]] = True
    chosen[without] = of_candidates.reshape(len(without), rows)
    return chosen


def _draw_changes(augmentation: Augmentation, items: int, seed: int, epoch: int) -> np.ndarray | None:
    """Draws five numbers per item, whichever are used, so that no setting affects another one's draw."""
    limits = np.array(
        (
            augmentation.zoom,
            augmentation.shift,
            augmentation.shift,
            augmentation.gamma,
            augmentation.contrast,
        )
    )
    if not limits.any():
        return None
    uniform = 2 * _generator(_CHANGE_STREAM, epoch, seed).random((items, 5)) - 1
    changes = (1 + limits) ** uniform
    changes[:, 1:3] = limits[1:3] * uniform[:, 1:3]
    return changes


def _generator(*seeds: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seeds))


def _shuffled(count: int, seeds: tuple[int, ...]) -> np.ndarray:
    # NumPy may change its shuffling, but not its random numbers, so that their order is reproducible.
    return np.argsort(_generator(*seeds).random(count), kind="stable")
