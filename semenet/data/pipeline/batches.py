"""Rows of a manifest to batches of arrays, each a function of its number alone.

What an image goes through is one specification, in this order: decode, stretch to the network's
size, CLAHE where it is asked for, a change of tone (training alone), lung mask where a view wants
it, one warp that turns, scales and moves (training alone). The tone comes after CLAHE, which would undo
it, and before mask and warp, so that what these make black stays black whatever the tone.
Every random choice is a function of (seed, epoch, item), so that batches may be made in any order
and by any number of threads: `semenet.data.pipeline.datasets` hands them to TensorFlow.
"""

import dataclasses
import functools
import math

import numpy as np

from semenet.data.transforms import host as host_transforms
from semenet.errors import SemenetError

# What numbers are drawn for; without it the order of epoch 0 would be drawn from the items' numbers.
_ORDER, _ITEMS, _FIXED_CLAHE, _CHANGES = 1, 2, 3, 4
# Zoom, shift down, shift right, gamma and contrast of an item that none of them changes.
_UNCHANGED = (1.0, 0.0, 0.0, 1.0, 1.0)
# In bytes; EIGEN_MAX_ALIGN_BYTES is that or less.
_ALIGNMENT = 64


class TrainingBatches:
    """The batches of a training run, numbered from 0 through all its epochs.

    Batches never hold items of two epochs: an epoch's last batch is smaller where the number of
    items is no multiple of `batch_size`.

    On many devices every batch must split evenly. `multiple` sees to it: where the last batch's length is
    none, it is filled up with the epoch's first items in its order. No item is lost; up to `multiple` - 1
    come twice (more often where the epoch has fewer), each time with the same augmentation.

    Args:
        images: a `ResizedImages`, with masks where the targets or a view need them.
        labels: the rows' classes, one-hot float32 (rows, classes); None makes the masks the targets.
        channels: 1 for grey, 3 for grey three times over.
        batch_size: items in a batch.
        seed: an integer of 0 or more that, with epoch and item, decides everything random.
        augmentation: an `Augmentation`; with masks as targets, image and mask are warped together.
        shuffle: whether each epoch has its own order; otherwise rows stay in the manifest's, view
            after view.
        part: (rank, processes): of each batch, only this process's contiguous share is made, and only
            its files are read. All ranks' shares, one after another, are the batch of (0, 1).
        multiple: what every batch's length is a multiple of; itself one of `processes`.

    Attributes:
        steps: batches an epoch, whatever the part.

    Raises:
        ValueError: `rank` is none of the `processes`, or `batch_size` no multiple of `multiple`, or that
            none of `processes`.
    """

    def __init__(
        self, images, labels, *, channels, batch_size, seed, augmentation, shuffle, part=(0, 1), multiple=1
    ):
        _check_part(part, multiple, batch_size)
        self.images = images
        self.labels = labels
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.part = tuple(part)
        self.multiple = multiple
        self.items = len(images) * len(augmentation.views)
        self.steps = -(-self.items // batch_size)
        # The epoch that ends and the one that begins.
        self._plan = functools.lru_cache(2)(self._draw_plan)

    @property
    def target_shape(self):
        """The shape of one item's target: (classes,), or (height, width, 1) of a mask."""
        return (*self.images.size, 1) if self.labels is None else self.labels.shape[1:]

    def __getitem__(self, step):
        """Makes a batch, or this process's part of it.

        Args:
            step: its number: the epoch, counted from 0, times `steps`, and the step in the epoch.

        Returns:
            (images, targets): uint8 (batch, height, width, channels) in [0, 255], and float32 one-hot
            (batch, classes) or masks (batch, height, width, 1) in {0, 1}.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        epoch, step = divmod(int(step), self.steps)
        plan = self._plan(epoch)
        items = self._own(plan.order[step * self.batch_size : (step + 1) * self.batch_size])
        views, rows = np.divmod(items, len(self.images))
        images = _aligned_empty((len(items), *self.images.size))
        # Fresh memory costs as much as a tenth of CLAHE itself: all images share one array, or two.
        enhanced = np.empty(self.images.size, np.uint8)
        toned = np.empty_like(enhanced) if self.augmentation.changes_tone else None
        masks = np.empty_like(images) if self.labels is None else [None] * len(items)
        for place, item in enumerate(items):
            image, mask = self.images[rows[place]]
            *shape, gamma, contrast = plan.changes_of(item)
            if plan.has_clahe[item]:
                image = host_transforms.clahe(image, out=enhanced)
            if toned is not None:
                table = host_transforms.tone_table(gamma, contrast)
                image = host_transforms.change_tone(image, table, out=toned)
            if self.augmentation.views[views[place]].startswith("masked"):
                image = image * mask
            self._move(image, mask, plan.degrees[item], shape, images[place], masks[place])
        if self.labels is None:
            return _with_channels(images, self.channels), _as_targets(masks)
        return _with_channels(images, self.channels), self.labels[rows]

    def _own(self, items):
        rank, processes = self.part
        return items[rank * len(items) // processes : (rank + 1) * len(items) // processes]

    def _move(self, image, mask, degrees, shape, out, mask_out):
        if not self.augmentation.warps:
            out[...] = image
            if mask_out is not None:
                mask_out[...] = mask
            return
        zoom, *shift = shape
        host_transforms.warp(image, degrees, zoom, shift, out=out)
        if mask_out is not None:
            host_transforms.warp_mask(mask, degrees, zoom, shift, out=mask_out)

    def _draw_plan(self, epoch):
        order = np.arange(self.items)
        if self.shuffle:
            order = _shuffled(self.items, (_ORDER, epoch, self.seed))
        share, turn = _generator(_ITEMS, epoch, self.seed).random((self.items, 2)).T
        always = np.repeat([view.endswith("clahe") for view in self.augmentation.views], len(self.images))
        if self.augmentation.clahe_draw == "epoch":
            drawn = share < self.augmentation.clahe
        else:
            candidates = np.flatnonzero(~always)
            shuffled = candidates[_shuffled(len(candidates), (_FIXED_CLAHE, self.seed))]
            drawn = np.zeros(self.items, bool)
            drawn[shuffled[: round(self.augmentation.clahe * len(candidates))]] = True
        return _Plan(
            # As many as batches hold: goes round to its beginning.
            order=np.resize(order, -(-self.items // self.multiple) * self.multiple),
            has_clahe=always | drawn,
            degrees=(2 * turn - 1) * self.augmentation.rotation,
            changes=self._draw_changes(epoch),
        )

    def _draw_changes(self, epoch):
        """Five numbers an item whatever is switched on, so that none changes with another."""
        own = self.augmentation
        most = np.array((own.zoom, own.shift, own.shift, own.gamma, own.contrast))
        if not most.any():
            return None
        evenly = 2 * _generator(_CHANGES, epoch, self.seed).random((self.items, 5)) - 1
        changes = (1 + most) ** evenly
        changes[:, 1:3] = most[1:3] * evenly[:, 1:3]
        return changes


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What is random in an epoch: its order of items and, for each item, what is done to it.

    Attributes:
        order: items in the order they come in.
        has_clahe: bool (items,).
        degrees: float (items,), the angle to turn by.
        changes: float (items, 5): zoom, shift down, shift right, gamma, contrast; None for no change.
    """

    order: np.ndarray
    has_clahe: np.ndarray
    degrees: np.ndarray
    changes: np.ndarray | None

    def changes_of(self, item):
        return _UNCHANGED if self.changes is None else self.changes[item].tolist()


class EvaluationBatches:
    """The batches of all rows, once, in the manifest's order.

    Args:
        images: a `ResizedImages`; its masks, if it has any, are the targets.
        labels: the rows' classes as targets, one-hot float32 (rows, classes), or None.
        channels: 1 for grey, 3 for grey three times over.
        batch_size: images in a batch; the last may have fewer.
        inference_clahe: whether CLAHE applies to every image.

    Attributes:
        steps: batches in all.
    """

    def __init__(self, images, labels, *, channels, batch_size, inference_clahe):
        self.images = images
        self.labels = labels
        self.channels = channels
        self.batch_size = batch_size
        self.inference_clahe = inference_clahe
        self.steps = -(-len(images) // batch_size)

    @property
    def target_shape(self):
        """The shape of one image's target, as of `TrainingBatches`; None without targets."""
        if self.images.has_masks:
            return (*self.images.size, 1)
        return None if self.labels is None else self.labels.shape[1:]

    def __getitem__(self, step):
        """Makes a batch.

        Args:
            step: its number.

        Returns:
            (images,) or (images, targets), as of `TrainingBatches`.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        rows = range(len(self.images))[step * self.batch_size : (step + 1) * self.batch_size]
        pairs = [self.images[row] for row in rows]
        finish = host_transforms.clahe if self.inference_clahe else np.asarray
        images = _with_channels(np.stack([finish(image) for image, _ in pairs]), self.channels)
        if self.images.has_masks:
            return images, _as_targets(np.stack([mask for _, mask in pairs]))
        if self.labels is not None:
            # A copy: TensorFlow takes an array over, and may compute in it.
            return images, self.labels[rows.start : rows.stop].copy()
        return (images,)


def _check_part(part, multiple, batch_size):
    rank, processes = part
    if not 0 <= rank < processes:
        raise SemenetError(
            "`part` must be (rank, processes) with 0 <= rank < processes. "
            f"Received: {tuple(part)}. Number the processes from 0."
        )
    if multiple < 1 or multiple % processes or batch_size % multiple:
        raise SemenetError(
            "Devices share batches evenly: `batch_size` is a multiple of `multiple`, and `multiple` of the "
            f"number of processes. Received: batch_size={batch_size}, multiple={multiple}, "
            f"{processes} processes. "
            "Let `multiple` be the number of devices of all processes, and the batch so many times larger."
        )


def _aligned_empty(shape):
    """A uint8 array that begins where TensorFlow wants it, which then takes it over without a copy."""
    count = math.prod(shape)
    buffer = np.empty(count + _ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + count].reshape(shape)


def _generator(*seeds):
    return np.random.Generator(np.random.Philox(seeds))


def _shuffled(count, seeds):
    # NumPy may change how it shuffles, but not the numbers it draws: sorting them stays as it is.
    return np.argsort(_generator(*seeds).random(count), kind="stable")


def _with_channels(images, channels):
    return np.repeat(images[..., np.newaxis], channels, axis=-1) if channels > 1 else images[..., np.newaxis]


def _as_targets(masks):
    return masks[..., np.newaxis].astype(np.float32)
