"""Rows of a manifest to batches of arrays, each a function of its number alone.

What an image goes through is one specification, in this order: decode, stretch to the network's
size, CLAHE where it is asked for, lung mask where a view wants it, rotation (training alone).
Every random choice is a function of (seed, epoch, item), so that batches may be made in any order
and by any number of threads: `semenet.data.pipeline` hands them to TensorFlow.
"""

import functools
import math

import numpy as np

from semenet.data import host_transforms

# What numbers are drawn for; without it the order of epoch 0 would be drawn from the items' numbers.
_ORDER, _ITEMS, _FIXED_CLAHE = 1, 2, 3
# In bytes; EIGEN_MAX_ALIGN_BYTES is that or less.
_ALIGNMENT = 64


class TrainingBatches:
    """The batches of a training run, numbered from 0 through all its epochs.

    Batches never hold items of two epochs: an epoch's last batch is smaller where the number of
    items is no multiple of `batch_size`.

    Args:
        images: a `ResizedImages`, with masks where the targets or a view need them.
        labels: the rows' classes, one-hot float32 (rows, classes); None makes the masks the targets.
        channels: 1 for grey, 3 for grey three times over.
        batch_size: items in a batch.
        seed: an integer of 0 or more that, with epoch and item, decides everything random.
        augmentation: an `Augmentation`; with masks as targets, image and mask are turned together.
        shuffle: whether each epoch has its own order; otherwise rows stay in the manifest's, view
            after view.

    Attributes:
        steps: batches an epoch.
    """

    def __init__(self, images, labels, *, channels, batch_size, seed, augmentation, shuffle):
        self.images = images
        self.labels = labels
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.items = len(images) * len(augmentation.views)
        self.steps = -(-self.items // batch_size)
        # The epoch that ends and the one that begins.
        self._plan = functools.lru_cache(2)(self._draw_plan)

    def __getitem__(self, step):
        """Makes a batch.

        Args:
            step: its number: the epoch, counted from 0, times `steps`, and the step in the epoch.

        Returns:
            (images, targets): uint8 (batch, height, width, channels) in [0, 255], and float32 one-hot
            (batch, classes) or masks (batch, height, width, 1) in {0, 1}.

        Raises:
            ImageError: an image or mask cannot be read.
        """
        epoch, step = divmod(int(step), self.steps)
        order, has_clahe, degrees = self._plan(epoch)
        items = order[step * self.batch_size : (step + 1) * self.batch_size]
        views, rows = np.divmod(items, len(self.images))
        images = _aligned_empty((len(items), *self.images.size))
        # Fresh memory costs as much as a tenth of CLAHE itself: all images share one array.
        enhanced = np.empty(self.images.size, np.uint8)
        masks = np.empty_like(images) if self.labels is None else [None] * len(items)
        for place, item in enumerate(items):
            image, mask = self.images[rows[place]]
            if has_clahe[item]:
                image = host_transforms.clahe(image, out=enhanced)
            if self.augmentation.views[views[place]].startswith("masked"):
                image = image * mask
            self._turn(image, mask, degrees[item], images[place], masks[place])
        if self.labels is None:
            return _with_channels(images, self.channels), _as_targets(masks)
        return _with_channels(images, self.channels), self.labels[rows]

    def _turn(self, image, mask, degrees, out, mask_out):
        if not self.augmentation.rotation:
            out[...] = image
            if mask_out is not None:
                mask_out[...] = mask
            return
        host_transforms.rotate(image, degrees, out=out)
        if mask_out is not None:
            host_transforms.rotate_mask(mask, degrees, out=mask_out)

    def _draw_plan(self, epoch):
        """An epoch's order of items, and for each item whether it gets CLAHE, and its angle."""
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
        return order, always | drawn, (2 * turn - 1) * self.augmentation.rotation


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
            return images, self.labels[rows.start : rows.stop]
        return (images,)


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
